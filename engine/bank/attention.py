"""Attention over packed sequences, as one of transformers' attention functions.

With a packed layout in force, queries, keys and values of one long row are gathered into one group for each sequence,
attended causally (what pads a group at its end cannot be seen by what comes before it), and scattered back. Without
one, it is scaled dot-product attention under the mask that the caller hands in.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from engine.bank.layout import Grouping
from store.errors import WrongUseError

ATTENTION = "seal_packed"
_in_force = threading.local()
_UNSUPPORTED = ("softcap", "s_aux")


@contextmanager
def packed_sequences(layout: Grouping) -> Iterator[None]:
    """Let every attention of the model see each sequence of a packed row by itself."""
    _in_force.layout = layout
    try:
        yield
    finally:
        _in_force.layout = None


def attend(
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

    Outside a packed layout the mask is boolean (true: may be seen) and not yet limited to the sliding window; without
    one, attention is causal.
    """
    for name in _UNSUPPORTED:
        if options.get(name) is not None:
            raise WrongUseError(f"{type(module).__name__} uses {name}, which the engine's attention does not support")
    layout: Grouping | None = getattr(_in_force, "layout", None)
    shared_keys = query.shape[1] != key.shape[1]
    if layout is None:
        asked, seen = query.shape[2], key.shape[2]
        reach = seen if sliding_window is None else min(sliding_window, seen)
        if reach < seen or (attention_mask is None and asked > 1):
            window = _window(seen, reach, query.device)[-asked:]
            attention_mask = window if attention_mask is None else attention_mask & window
        out = scaled_dot_product_attention(
            query, key, value, attn_mask=attention_mask, scale=scaling, enable_gqa=shared_keys
        )
        return out.transpose(1, 2), None
    query, key, value = (layout.gather(part[0].transpose(0, 1)).transpose(1, 2) for part in (query, key, value))
    window = None
    if sliding_window is not None and layout.longest > sliding_window:
        window = _window(layout.longest, sliding_window, query.device)
    out = scaled_dot_product_attention(
        query, key, value, attn_mask=window, is_causal=window is None, scale=scaling, enable_gqa=shared_keys
    )
    return layout.scatter(out.transpose(1, 2))[None], None


def _window(length: int, sliding_window: int, device: torch.device) -> torch.Tensor:
    distance = torch.arange(length, device=device)[:, None] - torch.arange(length, device=device)[None, :]
    return (distance >= 0) & (distance < sliding_window)


AttentionInterface.register(ATTENTION, attend)
