"""Attention over packed sequences, as one of transformers' attention functions.

While a packed layout is active, queries, keys and values of one long row are gathered into one group per sequence,
attended causally (padding at the end of a group cannot be seen by what comes before it), and scattered back. Otherwise
this is scaled dot-product attention under the mask that the caller passes.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.model.token_layout import Grouping, Layout

ATTENTION = "seal_packed"
_in_force = threading.local()
_MATRIX = 2  # dimensions
_LONGEST_IN_PRODUCTS = 512  # tokens; beyond it all scores at once take too much memory


@contextmanager
def packed_sequences(layout: Layout) -> Iterator[None]:
    """Let every attention of the model see each sequence of a packed row by itself."""
    _in_force.layout = layout
    try:
        yield
    finally:
        _in_force.layout = None


@dataclass(frozen=True, slots=True)
class ScoreRule:
    """How scores become weights: their scale, the soft cap of Gemma 2 (None: none), and one sink for each head as
    gpt-oss has them: a score that takes weight away from all tokens, [heads].
    """

    scale: float
    softcap: float | None = None
    sinks: torch.Tensor | None = None

    @property
    def is_plain(self) -> bool:
        """Whether torch's fused attention can compute it."""
        return self.softcap is None and self.sinks is None


def attend(  # noqa: PLR0917 - the signature that transformers calls
    module: torch.nn.Module,  # noqa: ARG001
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attend; query is [rows, heads, queries, size], the result [rows, queries, heads, size].

    Outside a packed layout the mask is boolean (true: visible) and not yet limited to the sliding window; without a
    mask, attention is causal.
    """
    rule = ScoreRule(query.shape[-1] ** -0.5 if scaling is None else scaling, softcap, s_aux)
    layout: Layout | None = getattr(_in_force, "layout", None)
    if layout is None:
        return _attend_in_rows(query, key, value, attention_mask, sliding_window, rule).transpose(1, 2), None
    # Not rows[0]: its gradient would be written into zeros of the whole; that of a view is passed on.
    query, key, value = (rows.squeeze(0).transpose(0, 1) for rows in (query, key, value))
    attended = [
        _attend_in_groups(part.grouping, *rows, rule=rule, window=sliding_window)
        for part, *rows in zip(layout.parts, *map(layout.by_tokens, (query, key, value)), strict=True)
    ]
    return (attended[0] if len(attended) == 1 else torch.cat(attended)).unsqueeze(0), None


def _attend_in_rows(  # noqa: PLR0917 - tensors in their usual order
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    sliding_window: int | None,
    rule: ScoreRule,
) -> torch.Tensor:
    asked, seen = query.shape[2], key.shape[2]
    reach = seen if sliding_window is None else min(sliding_window, seen)
    if reach < seen or (mask is None and asked > 1):
        window = _window(seen, reach, query.device)[-asked:]
        mask = window if mask is None else mask & window
    if not rule.is_plain:
        return _attend_by_products(query, key, value, mask, rule)
    return scaled_dot_product_attention(
        query, key, value, attn_mask=mask, scale=rule.scale, enable_gqa=query.shape[1] != key.shape[1]
    )


def _attend_in_groups(
    grouping: Grouping,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    rule: ScoreRule,
    window: int | None,
) -> torch.Tensor:
    """Attend within each group; query is [tokens, heads, size], and so is the result."""
    q, k, v = (grouping.gather(rows).transpose(1, 2) for rows in (query, key, value))
    longest = grouping.longest
    mask = None if window is None or longest <= window else _window(longest, window, query.device)
    slow_when_fused = q.dtype == torch.bfloat16 and q.device.type == "cpu" and longest <= _LONGEST_IN_PRODUCTS
    if slow_when_fused or not rule.is_plain:
        causal = _window(longest, longest, query.device) if mask is None else mask
        attended: torch.Tensor = ScoresAgain.apply(q, k, v, causal, rule)  # type: ignore[no-untyped-call]
        return grouping.scatter(attended.transpose(1, 2))
    out = scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=mask is None, scale=rule.scale, enable_gqa=q.shape[1] != k.shape[1]
    )
    return grouping.scatter(out.transpose(1, 2))


def _attend_by_products(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, rule: ScoreRule
) -> torch.Tensor:
    """Attend by two batched products; query is [groups, heads, queries, size], and so is the result.

    The mask is [queries, keys] or [groups, 1, queries, keys]. torch's fused attention knows neither soft caps nor
    sinks, and is several times slower in bfloat16 on a CPU, most of all backwards.
    """
    groups, heads, asked, size = query.shape
    key_heads, seen = key.shape[1:3]
    shared = heads // key_heads  # query heads for each key head
    scores = torch.bmm(
        (query * rule.scale).reshape(groups * key_heads, shared * asked, size),
        key.reshape(groups * key_heads, seen, size).transpose(1, 2),
    ).view(groups, key_heads, shared, asked, seen)
    if rule.softcap is not None:
        scores = rule.softcap * torch.tanh(scores / rule.softcap)
    if mask is not None:
        hidden = torch.zeros_like(mask, dtype=query.dtype).masked_fill_(~mask, float("-inf"))
        scores = scores + (hidden if mask.dim() == _MATRIX else hidden[:, :, None])
    if rule.sinks is not None:
        sinks = rule.sinks.to(scores.dtype).view(1, key_heads, shared, 1, 1).expand(groups, -1, -1, asked, 1)
        scores = torch.cat([scores, sinks], dim=-1)
    weights = scores.softmax(dim=-1)[..., :seen]
    out = torch.bmm(
        weights.reshape(groups * key_heads, shared * asked, seen),
        value.reshape(groups * key_heads, seen, value.shape[-1]),
    )
    return out.view(groups, heads, asked, value.shape[-1])


class ScoresAgain(torch.autograd.Function):
    """Attention by products that keeps no scores, which grow with the square of a sequence; backward computes them."""

    @staticmethod
    def forward(  # noqa: PLR0917 - autograd functions take positions
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor,
        rule: ScoreRule,
    ) -> torch.Tensor:
        """Attend; shapes are those of `_attend_by_products`."""
        ctx.save_for_backward(query, key, value)
        ctx.mask, ctx.rule = mask, rule
        return _attend_by_products(query, key, value, mask, rule)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the gradients of query, key and value."""
        inputs = [one.detach().requires_grad_() for one in ctx.saved_tensors]
        with torch.enable_grad():
            query, key, value = inputs
            out = _attend_by_products(query, key, value, ctx.mask, ctx.rule)
        return *torch.autograd.grad(out, inputs, grad), None, None


def _window(length: int, sliding_window: int, device: torch.device) -> torch.Tensor:
    distance = torch.arange(length, device=device)[:, None] - torch.arange(length, device=device)[None, :]
    return (distance >= 0) & (distance < sliding_window)


AttentionInterface.register(ATTENTION, attend)
