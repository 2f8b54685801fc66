"""Attention with soft caps, sinks, windows and shared key heads, packed and padded, against one written as a loop."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from engine.model.attention import attend, packed_sequences
from engine.model.token_layout import lay_out

if TYPE_CHECKING:
    from collections.abc import Sequence

HEADS, KEY_HEADS, SIZE, SOFTCAP = 4, 2, 8, 3.0
LENGTHS = [3, 7, 5]


def reference(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    softcap: float | None,
    sinks: torch.Tensor | None,
    window: int | None,
) -> torch.Tensor:
    """Attend token by token; query is [heads, tokens, size], the result [tokens, heads, size]."""
    tokens = query.shape[1]
    out = torch.zeros(tokens, HEADS, SIZE)
    for head in range(HEADS):
        shared = head // (HEADS // KEY_HEADS)
        for at in range(tokens):
            seen = range(0 if window is None else max(0, at - window + 1), at + 1)
            scores = [float(query[head, at] @ key[shared, other]) / math.sqrt(SIZE) for other in seen]
            if softcap is not None:
                scores = [softcap * math.tanh(score / softcap) for score in scores]
            all_scores = torch.tensor([*scores, *([] if sinks is None else [float(sinks[head])])])
            weights = all_scores.softmax(dim=0)
            out[at, head] = sum(
                (weight * value[shared, other] for weight, other in zip(weights, seen, strict=False)), torch.zeros(SIZE)
            )
    return out


def draw(lengths: Sequence[int]) -> list[torch.Tensor]:
    torch.manual_seed(3)
    tokens = sum(lengths)
    return [4 * torch.randn(1, heads, tokens, SIZE) for heads in (HEADS, KEY_HEADS, KEY_HEADS)]


RULES = [
    {"softcap": None, "sinks": None, "window": None},
    {"softcap": SOFTCAP, "sinks": None, "window": None},
    {"softcap": SOFTCAP, "sinks": None, "window": 3},
    {"softcap": None, "sinks": torch.tensor([0.5, -1.0, 2.0, 0.0]), "window": None},
    {"softcap": None, "sinks": torch.tensor([0.5, -1.0, 2.0, 0.0]), "window": 2},
]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("in_parts", [False, True])
def test_packed(rule: dict[str, object], in_parts: bool) -> None:
    query, key, value = draw(LENGTHS)
    layout = lay_out(LENGTHS, torch.device("cpu"), in_parts=in_parts, calls=1)
    with packed_sequences(layout):
        found = attend(
            nn.Identity(), query, key, value, None,
            sliding_window=rule["window"], softcap=rule["softcap"], s_aux=rule["sinks"],  # type: ignore[arg-type]
        )[0][0]  # fmt: skip
    start = 0
    for length in LENGTHS:
        part = slice(start, start + length)
        expected = reference(query[0, :, part], key[0, :, part], value[0, :, part], **rule)  # type: ignore[arg-type]
        assert torch.allclose(found[part], expected, atol=1e-5)
        start += length


@pytest.mark.parametrize("rule", RULES)
def test_the_newest_token_of_a_row_with_a_cache(rule: dict[str, object]) -> None:
    query, key, value = draw([6])
    expected = reference(query[0], key[0], value[0], **rule)  # type: ignore[arg-type]
    mask = torch.ones(1, 1, 1, 6, dtype=torch.bool)
    [found] = attend(
        nn.Identity(), query[:, :, -1:], key, value, mask,
        sliding_window=rule["window"], softcap=rule["softcap"], s_aux=rule["sinks"],  # type: ignore[arg-type]
    )[0]  # fmt: skip
    assert torch.allclose(found[0], expected[-1], atol=1e-5)


@pytest.mark.parametrize("rule", RULES[:3])
def test_bfloat16_is_the_same_up_to_its_rounding(rule: dict[str, object]) -> None:
    query, key, value = (0.3 * one for one in draw(LENGTHS))
    with packed_sequences(lay_out(LENGTHS, torch.device("cpu"))):
        found = attend(
            nn.Identity(), query.bfloat16(), key.bfloat16(), value.bfloat16(), None,
            sliding_window=rule["window"], softcap=rule["softcap"],  # type: ignore[arg-type]
        )[0][0]  # fmt: skip
    first = slice(0, LENGTHS[0])
    expected = reference(query[0, :, first], key[0, :, first], value[0, :, first], **rule)  # type: ignore[arg-type]
    assert torch.allclose(found[first].float(), expected, atol=0.03)
