"""The loss at the output head, some positions at a time, with the gradient of what goes into the head.

All logits at once are the largest tensor of a training step: 400 positions of a vocabulary of 49,152 take 79 MB in
float32, several times over. Since the head is frozen, each position's gradient only has to be scaled by that of its
loss, so it is computed right away and no logits are kept.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.functional import linear

_POSITIONS_AT_ONCE = {"cpu": 64, "cuda": 2048}


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

    `rows` and `tokens` name the target tokens, one or more for each position, and `probabilities` how likely each is
    to be; those of a position sum to one.
    """

    @staticmethod
    def forward(  # noqa: PLR0917 - autograd functions take positions
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        rows: torch.Tensor,
        tokens: torch.Tensor,
        probabilities: torch.Tensor,
    ) -> torch.Tensor:
        """Compute the losses, and the gradient of each with respect to its hidden state."""
        losses = torch.empty(len(hidden), device=hidden.device)
        gradient = torch.empty_like(hidden)
        at_once = _POSITIONS_AT_ONCE.get(hidden.device.type, _POSITIONS_AT_ONCE["cpu"])
        bounds = torch.searchsorted(rows, torch.arange(0, len(hidden) + at_once, at_once, device=rows.device)).tolist()
        for part, first in enumerate(range(0, len(hidden), at_once)):
            states = hidden[first : first + at_once]
            of_part = slice(bounds[part], bounds[part + 1])
            targets = rows[of_part] - first, tokens[of_part]
            logits = linear(states, weight, bias).float()
            total = logits.logsumexp(dim=-1)
            expected = logits[targets] * probabilities[of_part]
            losses[first : first + at_once] = total - total.new_zeros(len(states)).index_add(0, targets[0], expected)
            shares = logits.sub_(total[:, None]).exp_().index_put_(targets, -probabilities[of_part], accumulate=True)
            torch.mm(shares.to(weight.dtype), weight, out=gradient[first : first + at_once])
        ctx.save_for_backward(gradient)
        return losses

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Scale each position's gradient."""
        (gradient,) = ctx.saved_tensors
        return gradient * grad[:, None].to(gradient.dtype), None, None, None, None, None
