"""The loss at the output head, some positions at a time, with the gradient of what goes into the head.

All logits at once are the largest tensor of a training step: 400 positions of a vocabulary of 49,152 take 79 MB in
float32, several times over. Since the head is frozen, each position's gradient only has to be scaled by that of its
loss, so it is computed right away, in a buffer that all positions share in turn, and no logits are kept.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

# How many positions are multiplied by the head at once, and of how many the logits are float32 at a time. Few of the
# latter stay in a processor's cache.
_ROWS_AT_ONCE = {"cpu": (256, 16), "cuda": (2048, 2048)}


def plain_head(model: nn.Module) -> nn.Linear | None:
    """Return the output head if the model's logits are its output and nothing more; None if they are scaled or capped.

    It is found by asking: the two ways must agree to the last bit on a few tokens.
    """
    head = getattr(model, "get_output_embeddings", lambda: None)()
    decoder = getattr(model, "get_decoder", lambda: None)()
    if type(head) is not nn.Linear or decoder is None or decoder is model:
        return None
    ids = torch.arange(3, device=head.weight.device)[None]
    with torch.inference_mode():
        hidden = decoder(input_ids=ids, position_ids=ids, use_cache=False).last_hidden_state
        logits = model(input_ids=ids, position_ids=ids, use_cache=False).logits
        same = torch.equal(logits, head(hidden))
    return head if same else None


class HeadLoss(torch.autograd.Function):
    """Cross-entropy in nats at each position, [positions], of hidden states [positions, size] under a frozen head.

    `tokens` are the target tokens, one for each position. If some positions have several, `rows` names the position of
    each, in order, and `probabilities` how likely it is to be the target; those of a position sum to one.
    """

    @staticmethod
    def forward(  # noqa: PLR0917 - autograd functions take positions
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        tokens: torch.Tensor,
        rows: torch.Tensor | None,
        probabilities: torch.Tensor | None,
    ) -> torch.Tensor:
        """Compute the losses, and the gradient of each with respect to its hidden state."""
        losses = torch.empty(len(hidden), device=hidden.device)
        gradient = torch.empty_like(hidden)
        multiplied, wide_rows = _ROWS_AT_ONCE.get(hidden.device.type, _ROWS_AT_ONCE["cpu"])
        logits_of = torch.empty(min(multiplied, len(hidden)), len(weight), dtype=hidden.dtype, device=hidden.device)
        bounds = _bounds(len(hidden), wide_rows, rows)
        for first in range(0, len(hidden), multiplied):
            states = hidden[first : first + multiplied]
            logits = logits_of[: len(states)]
            if bias is None:
                torch.mm(states, weight.t(), out=logits)
            else:
                torch.addmm(bias, states, weight.t(), out=logits)
            for start in range(0, len(states), wide_rows):
                narrow = logits[start : start + wide_rows]
                at, end = first + start, first + start + len(narrow)
                of_part = slice(bounds[at // wide_rows], bounds[at // wide_rows + 1])
                places = torch.arange(len(narrow), device=hidden.device) if rows is None else rows[of_part] - at
                weights = None if probabilities is None else probabilities[of_part]
                losses[at:end] = _lose(narrow, places, tokens[of_part], weights)
            torch.mm(logits, weight, out=gradient[first : first + multiplied])
        ctx.save_for_backward(gradient)
        return losses

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Scale each position's gradient."""
        (gradient,) = ctx.saved_tensors
        return gradient * grad[:, None].to(gradient.dtype), None, None, None, None, None


def _bounds(positions: int, at_once: int, rows: torch.Tensor | None) -> list[int]:
    """Return where the targets of each `at_once` positions begin, and where the last end."""
    starts = [*range(0, positions, at_once), positions]
    if rows is None:
        return starts
    found: list[int] = torch.searchsorted(rows, torch.tensor(starts, device=rows.device)).tolist()
    return found


def _lose(
    logits: torch.Tensor, places: torch.Tensor, tokens: torch.Tensor, probabilities: torch.Tensor | None
) -> torch.Tensor:
    """Turn logits [positions, vocabulary] into the losses' gradients, in place; returns the losses, [positions]."""
    wide = logits.float() if logits.dtype != torch.float32 else logits
    total = wide.logsumexp(dim=-1)
    expected = wide[places, tokens]
    shares = torch.ones_like(expected) if probabilities is None else probabilities
    if probabilities is not None:
        expected = total.new_zeros(len(total)).index_add(0, places, expected * probabilities)
    wide.sub_(total[:, None]).exp_().index_put_((places, tokens), -shares, accumulate=True)
    if wide is not logits:
        logits.copy_(wide)
    return total - expected
