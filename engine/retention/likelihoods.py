"""Log-probabilities of the next token at given positions of many texts, under one adapter at a time.

Texts of like length lie side by side; memory is bounded by the tokens of one chunk and by the longest text.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from engine.bank.layout import lay_out
from engine.bank.stack import stack_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from engine.lora.adapter import Adapter
    from engine.model.base import BaseModel

TOKENS_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class Span:
    """The tokens of a text; asked is the next token of each position from `first` on."""

    tokens: tuple[int, ...]
    first: int = 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """Texts side by side: `tokens` is [texts, longest], padded at the end; `asked` marks positions, padding never.

    `places` says which of all texts each row is.
    """

    places: tuple[int, ...]
    tokens: torch.Tensor
    asked: torch.Tensor


def chunks(base: BaseModel, spans: Sequence[Span], tokens_at_once: int) -> Iterator[Chunk]:
    """Put texts of like length side by side, as many as the limit of tokens allows, but at least one; none is empty."""
    waiting: list[int] = []
    for place in sorted(range(len(spans)), key=lambda place: len(spans[place].tokens)):
        if waiting and (len(waiting) + 1) * len(spans[place].tokens) > tokens_at_once:
            yield _chunk(base, spans, waiting)
            waiting = []
        waiting.append(place)
    if waiting:
        yield _chunk(base, spans, waiting)


def log_probabilities(base: BaseModel, chunk: Chunk, adapter: Adapter | None) -> torch.Tensor:
    """Return [asked positions, vocabulary] in float32, row after row; what pads a text is never seen."""
    rows, longest = chunk.tokens.shape
    causal = torch.ones(longest, longest, dtype=torch.bool, device=base.device).tril()
    with acting(base, adapter, rows * longest):
        out = base.model(
            input_ids=chunk.tokens,
            attention_mask=causal[None, None].expand(rows, 1, -1, -1),
            position_ids=torch.arange(longest, device=base.device).expand(rows, -1),
            use_cache=False,
        )
    logits: torch.Tensor = out.logits[chunk.asked]
    return logits.float().log_softmax(dim=-1)


def acting(base: BaseModel, adapter: Adapter | None, tokens: int) -> AbstractContextManager[None]:
    """Let an adapter act on the next forward of so many tokens; None is the base alone."""
    if adapter is None:
        return nullcontext()
    stack = stack_of([adapter], adapter.spec, base.device)
    return base.switch.on(stack.first(1), lay_out([tokens], base.device), adapter.spec.scaling, learning=False)


def _chunk(base: BaseModel, spans: Sequence[Span], places: list[int]) -> Chunk:
    longest = max(len(spans[place].tokens) for place in places)
    tokens = torch.zeros(len(places), longest, dtype=torch.long)
    asked = torch.zeros(len(places), longest, dtype=torch.bool)
    for row, place in enumerate(places):
        length = len(spans[place].tokens)
        tokens[row, :length] = torch.tensor(spans[place].tokens)
        asked[row, spans[place].first : length] = True
    return Chunk(tuple(places), tokens.to(base.device), asked.to(base.device))
