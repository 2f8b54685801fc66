"""Generates for many prompts, each under its own adapter, in one mixed batch with a key-value cache.

Prompts of similar length share a batch and are padded on the left; rows that have ended leave the batch once half of it
is done. Without sampling, the text equals greedy decoding with each adapter alone, up to floating-point rounding.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from transformers import DynamicCache

from engine.bank.stack import AdapterStack, stack_of
from engine.generation.sampling import GREEDY, Sampling, choose_tokens, uniform_numbers
from engine.model.token_layout import lay_out
from store.errors import WrongUseError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.lora.adapter import Adapter
    from engine.model.base import BaseModel

_STEPS_BETWEEN_CHECKS = {"cpu": 1, "cuda": 8}


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """A prompt, the adapter that continues it (an index into the adapters given), and the seed of its sampling."""

    prompt: tuple[int, ...]
    adapter: int
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """When to stop: at `stop_tokens` anywhere, at `late_stop_tokens` anywhere except the first position."""

    max_new_tokens: int
    stop_tokens: frozenset[int]
    late_stop_tokens: frozenset[int] = frozenset()
    rows_per_batch: int = 64


@dataclass(slots=True)
class _Rows:
    """The rows that are still generating: `places` is each row's request, `seen` marks cached tokens that are not
    padding.
    """

    places: list[int]
    cache: DynamicCache
    seen: torch.Tensor
    positions: torch.Tensor
    uniform: torch.Tensor | None

    def keep(self, rows: list[int]) -> None:
        index = torch.tensor(rows, device=self.seen.device)
        self.places = [self.places[row] for row in rows]
        self.cache.batch_select_indices(index)
        self.seen, self.positions = self.seen[index], self.positions[index]
        self.uniform = None if self.uniform is None else self.uniform[index]


@torch.inference_mode()
def generate(
    base: BaseModel,
    adapters: Sequence[Adapter | None],
    requests: Sequence[GenerationRequest],
    limits: Limits,
    sampling: Sampling = GREEDY,
) -> list[list[int]]:
    """Continue every prompt; returns the new tokens in the order of the requests, without the stop token.

    None among the adapters is the base alone. Raises WrongUseError if a prompt leaves no room in the window.
    """
    _check(base, requests, limits)
    results: list[list[int]] = [[] for _ in requests]
    order = sorted(range(len(requests)), key=lambda place: (requests[place].adapter, len(requests[place].prompt)))
    for at in range(0, len(order), limits.rows_per_batch):
        places = order[at : at + limits.rows_per_batch]
        for place, tokens in _continue_batch(base, adapters, [requests[place] for place in places], limits, sampling):
            results[places[place]] = tokens
    return results


@torch.inference_mode()
def next_logits(
    base: BaseModel,
    adapters: Sequence[Adapter | None],
    requests: Sequence[GenerationRequest],
    following: Sequence[int],
) -> list[torch.Tensor]:
    """Return, as `generate` computes them, the logits [2, vocabulary] after each prompt and after one more token.

    `following` is that token of each request. Logits are float32, in the order of the requests, which are one batch.
    """
    order = sorted(range(len(requests)), key=lambda place: requests[place].adapter)
    ordered = [requests[place] for place in order]
    slots = _Slots(base, adapters, ordered)
    rows, first = _prefill(base, slots, ordered)
    second = _advance(base, slots, rows, torch.tensor([following[place] for place in order], device=base.device))
    found = torch.stack([first, second], dim=1).float()
    return [found[order.index(place)] for place in range(len(requests))]


def _continue_batch(
    base: BaseModel,
    adapters: Sequence[Adapter | None],
    requests: list[GenerationRequest],
    limits: Limits,
    sampling: Sampling,
) -> Iterator[tuple[int, list[int]]]:
    slots = _Slots(base, adapters, requests)
    rows, logits = _prefill(base, slots, requests)
    if sampling.temperature > 0.0:
        seeds = [request.seed for request in requests]
        rows.uniform = uniform_numbers(seeds, limits.max_new_tokens, base.device)
    written: list[list[int]] = [[] for _ in requests]
    pending: list[torch.Tensor] = []
    every = _STEPS_BETWEEN_CHECKS.get(base.device.type, 1)
    for step in range(limits.max_new_tokens):
        uniform = None if rows.uniform is None else rows.uniform[:, step]
        tokens = choose_tokens(logits.float(), sampling, uniform)
        pending.append(tokens)
        if (step + 1) % every == 0 or step + 1 == limits.max_new_tokens:
            going = _take(pending, rows, written, limits)
            pending = []
            if not going:
                break
            if len(going) <= len(rows.places) // 2:
                rows.keep(going)
                tokens = tokens[torch.tensor(going, device=tokens.device)]
        if step + 1 < limits.max_new_tokens:
            logits = _advance(base, slots, rows, tokens)
    yield from ((place, _before_stop(tokens, limits)) for place, tokens in enumerate(written))


def _take(pending: list[torch.Tensor], rows: _Rows, written: list[list[int]], limits: Limits) -> list[int]:
    """Append the pending tokens to what each row has written; returns the rows that have not stopped."""
    for place, new in zip(rows.places, torch.stack(pending, dim=1).tolist(), strict=True):
        written[place] += new
    return [
        row for row, place in enumerate(rows.places) if len(_before_stop(written[place], limits)) == len(written[place])
    ]


def _before_stop(tokens: list[int], limits: Limits) -> list[int]:
    for place, token in enumerate(tokens):
        if token in limits.stop_tokens or (place > 0 and token in limits.late_stop_tokens):
            return tokens[:place]
    return tokens


class _Slots:
    """The adapters of one batch in slots; rows of the same adapter are adjacent."""

    def __init__(self, base: BaseModel, adapters: Sequence[Adapter | None], requests: list[GenerationRequest]) -> None:
        self._base = base
        used = sorted({request.adapter for request in requests})
        self._slot_of_row = [used.index(request.adapter) for request in requests]
        specs = [adapter.spec for index in used if (adapter := adapters[index]) is not None]
        if any(spec != specs[0] for spec in specs):
            raise WrongUseError("adapters of different shapes cannot answer in one batch")
        self._stack: AdapterStack | None = None
        if specs:
            self._stack = stack_of([adapters[index] for index in used], specs[0], base.device, base.precision)

    def acting(self, places: list[int], tokens_per_row: int) -> AbstractContextManager[None]:
        """Apply each row's adapter to its tokens in the next forward pass."""
        if self._stack is None:
            return nullcontext()
        counts = [0] * self._stack.slots
        for place in places:
            counts[self._slot_of_row[place]] += tokens_per_row
        grouping = lay_out(counts, self._base.device)
        matrices, scaling = self._stack.first(self._stack.slots), self._stack.spec.scaling
        return self._base.switch.on(matrices, grouping, scaling, training=False)


def _prefill(base: BaseModel, slots: _Slots, requests: list[GenerationRequest]) -> tuple[_Rows, torch.Tensor]:
    longest = max(len(request.prompt) for request in requests)
    padded = torch.tensor([[0] * (longest - len(one.prompt)) + list(one.prompt) for one in requests])
    real = torch.tensor([[False] * (longest - len(one.prompt)) + [True] * len(one.prompt) for one in requests])
    padded, real = padded.to(base.device), real.to(base.device)
    positions = (real.long().cumsum(dim=1) - 1).clamp_(min=0)
    square = torch.ones(longest, longest, dtype=torch.bool, device=base.device)
    # A padded query sees itself: a row that sees nothing would become NaN and spread through the values.
    mask = (square.tril() & real[:, None, :]) | square.tril().triu()
    rows = _Rows(list(range(len(requests))), DynamicCache(), real, positions[:, -1], None)
    # An index copies the last states. A number would take a view, which CPUs multiply row by row in bfloat16.
    last = torch.tensor([longest - 1], device=base.device)
    with slots.acting(rows.places, longest):
        out = base.model(
            input_ids=padded,
            attention_mask=mask[:, None],
            position_ids=positions,
            use_cache=True,
            **{base.cache_argument: rows.cache},
            logits_to_keep=last,
        )
    return rows, out.logits[:, -1]


def _advance(base: BaseModel, slots: _Slots, rows: _Rows, tokens: torch.Tensor) -> torch.Tensor:
    rows.seen = torch.cat([rows.seen, rows.seen.new_ones(len(rows.places), 1)], dim=1)
    rows.positions = rows.positions + 1
    with slots.acting(rows.places, 1):
        out = base.model(
            input_ids=tokens[:, None],
            attention_mask=rows.seen[:, None, None],
            position_ids=rows.positions[:, None],
            use_cache=True,
            **{base.cache_argument: rows.cache},
        )
    logits: torch.Tensor = out.logits
    return logits[:, -1]


def _check(base: BaseModel, requests: Sequence[GenerationRequest], limits: Limits) -> None:
    for request in requests:
        if not request.prompt:
            raise WrongUseError("an empty prompt cannot be continued")
        if len(request.prompt) + limits.max_new_tokens > base.window_tokens:
            raise WrongUseError(
                f"a prompt of {len(request.prompt)} tokens leaves no room for {limits.max_new_tokens} new ones in the "
                f"model's window of {base.window_tokens}",
                next_step="shorten the context, or lower max_new_tokens in seal.yaml",
            )
