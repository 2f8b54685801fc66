"""Attention over packed sequences, as one of transformers' attention functions.

While a packed layout is active, queries, keys and values of one long row are gathered into one group per sequence,
attended causally (padding at the end of a group cannot be seen by what comes before it), and scattered back. Otherwise
this is scaled dot-product attention under the mask that the caller passes.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from store.errors import WrongUseError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.model.token_layout import Grouping, Layout

ATTENTION = "seal_packed"
_in_force = threading.local()
_UNSUPPORTED = ("softcap", "s_aux")
_LONGEST_IN_PRODUCTS = 512  # tokens; beyond it all scores at once take too much memory


@contextmanager
def packed_sequences(layout: Layout) -> Iterator[None]:
    """Let every attention of the model see each sequence of a packed row by itself."""
    _in_force.layout = layout
    try:
        yield
    finally:
        _in_force.layout = None


def attend(  # noqa: PLR0917 - the signature that transformers calls
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attend; query is [rows, heads, queries, size], the result [rows, queries, heads, size].

    Outside a packed layout the mask is boolean (true: visible) and not yet limited to the sliding window; without a
    mask, attention is causal.
    """
    for name in _UNSUPPORTED:
        if options.get(name) is not None:
            raise WrongUseError(f"{type(module).__name__} uses {name}, which the engine's attention does not support")
    layout: Layout | None = getattr(_in_force, "layout", None)
    if layout is None:
        asked, seen = query.shape[2], key.shape[2]
        reach = seen if sliding_window is None else min(sliding_window, seen)
        if reach < seen or (attention_mask is None and asked > 1):
            window = _window(seen, reach, query.device)[-asked:]
            attention_mask = window if attention_mask is None else attention_mask & window
        out = scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=attention_mask,
            scale=scaling,
            enable_gqa=query.shape[1] != key.shape[1],
        )
        return out.transpose(1, 2), None
    # Not rows[0]: its gradient would be written into zeros of the whole; that of a view is passed on.
    query, key, value = (rows.squeeze(0).transpose(0, 1) for rows in (query, key, value))
    attended = [
        _attend_in_groups(part.grouping, *rows, scaling=scaling, window=sliding_window)
        for part, *rows in zip(layout.parts, *map(layout.by_tokens, (query, key, value)), strict=True)
    ]
    return (attended[0] if len(attended) == 1 else torch.cat(attended)).unsqueeze(0), None


def _attend_in_groups(
    grouping: Grouping,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    scaling: float | None,
    window: int | None,
) -> torch.Tensor:
    """Attend within each group; query is [tokens, heads, size], and so is the result."""
    q, k, v = (grouping.gather(rows).transpose(1, 2) for rows in (query, key, value))
    mask = None
    if window is not None and grouping.longest > window:
        mask = _window(grouping.longest, window, query.device)
    if q.dtype == torch.bfloat16 and q.device.type == "cpu" and grouping.longest <= _LONGEST_IN_PRODUCTS:
        return grouping.scatter(_attend_by_products(q, k, v, mask, scaling).transpose(1, 2))
    out = scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=mask is None, scale=scaling, enable_gqa=q.shape[1] != k.shape[1]
    )
    return grouping.scatter(out.transpose(1, 2))


def _attend_by_products(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, scaling: float | None
) -> torch.Tensor:
    """Attend by two batched products; query is [groups, heads, tokens, size], and so is the result.

    torch's fused attention is several times slower in bfloat16 on a CPU, most of all backwards.
    """
    groups, heads, tokens, size = query.shape
    key_heads = key.shape[1]
    shared = heads // key_heads  # query heads for each key head
    if mask is None:
        mask = torch.ones(tokens, tokens, dtype=torch.bool).tril()
    scaled = query * (size**-0.5 if scaling is None else scaling)
    scores = torch.bmm(
        scaled.reshape(groups * key_heads, shared * tokens, size),
        key.reshape(groups * key_heads, tokens, size).transpose(1, 2),
    ).view(groups * key_heads, shared, tokens, tokens)
    weights = (scores + torch.zeros_like(mask, dtype=query.dtype).masked_fill_(~mask, float("-inf"))).softmax(dim=-1)
    out = torch.bmm(
        weights.view(groups * key_heads, shared * tokens, tokens),
        value.reshape(groups * key_heads, tokens, value.shape[-1]),
    )
    return out.view(groups, heads, tokens, value.shape[-1])


def _window(length: int, sliding_window: int, device: torch.device) -> torch.Tensor:
    distance = torch.arange(length, device=device)[:, None] - torch.arange(length, device=device)[None, :]
    return (distance >= 0) & (distance < sliding_window)


AttentionInterface.register(ATTENTION, attend)
