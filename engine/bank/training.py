"""Trains many inner updates side by side: a slot that finishes takes the next job from the queue.

Each tick takes the next step of every job in a slot: its sequences are packed into one row, the frozen base works on all
of them at once, and each adapter has its own loss, gradient norm, learning rate, step count and optimiser state. Adapters
are independent, so an adapter from the bank equals the one trained alone, to the rounding of a sum taken in another order.
"""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import torch
from torch.optim.adamw import adamw

from engine.bank.attention import packed_sequences
from engine.bank.job import InnerJob, InnerResult, TrainingSequence, rate_at, training_order
from engine.bank.layout import group_tokens, to_device
from engine.bank.stack import AdapterStack
from engine.lora.adapter import LoraSpec
from engine.model.base import BaseModel
from store.errors import SealError


@dataclass(slots=True)
class _Running:
    """A job in a slot, and how far it is."""

    job: InnerJob
    order: list[list[int]]
    started: float
    step: int = 0
    tokens: int = 0
    losses: list[torch.Tensor] = field(default_factory=list)

    def next_sequences(self) -> list[TrainingSequence]:
        return [self.job.sequences[index] for index in self.order[self.step]]


@dataclass(slots=True)
class BankStatistics:
    """What a bank did: `slot_steps` is the sum over ticks of busy slots, `capacity` that of all slots."""

    ticks: int = 0
    slot_steps: int = 0
    capacity: int = 0
    tokens: int = 0

    @property
    def busy_share(self) -> float:
        """Share of slots busy, over all ticks."""
        return self.slot_steps / max(1, self.capacity)


class InnerUpdateBank:
    """Slots for inner updates of one shape over one base."""

    def __init__(self, base: BaseModel, spec: LoraSpec, slots: int) -> None:
        self._base = base
        self._stack = AdapterStack(spec, slots, base.device, training=True)
        self._first_moments = torch.zeros_like(self._stack.weights)
        self._second_moments = torch.zeros_like(self._stack.weights)
        self._keeps_positions = "logits_to_keep" in inspect.signature(base.model.forward).parameters
        self.statistics = BankStatistics()

    def train(self, jobs: Iterable[InnerJob], on_tick: Callable[[int], None] | None = None) -> Iterator[InnerResult]:
        """Train every job and yield each as it finishes; `on_tick` is told the number of busy slots.

        Raises SealError, naming the job, where a loss or a weight is no longer finite.
        """
        queue, running = iter(jobs), list[_Running]()
        self._fill(queue, running)
        while running:
            self._tick(running)
            if on_tick is not None:
                on_tick(len(running))
            for slot in reversed(range(len(running))):
                if running[slot].step == len(running[slot].order):
                    result = self._result(running[slot], slot)
                    self._free(running, slot)
                    self._fill(queue, running)
                    yield result

    def _fill(self, queue: Iterator[InnerJob], running: list[_Running]) -> None:
        while len(running) < self._stack.slots:
            job = next(queue, None)
            if job is None:
                return
            _check(job, self._stack.spec, self._base.window_tokens)
            slot = len(running)
            self._stack.load(slot, job.start)
            self._first_moments[slot].zero_()
            self._second_moments[slot].zero_()
            running.append(_Running(job, training_order(job), time.monotonic()))

    def _free(self, running: list[_Running], slot: int) -> None:
        """Give a slot back; the last busy slot moves into the gap, so that busy slots stay at the front."""
        last = running.pop()
        if slot < len(running):
            for rows in (self._stack.weights, self._first_moments, self._second_moments):
                rows[slot].copy_(rows[len(running)])
            running[slot] = last

    def _tick(self, running: list[_Running]) -> None:
        sequences = [one.next_sequences() for one in running]
        losses = self._losses(sequences)
        losses.sum().backward()
        self._clip(running)
        for slot, one in enumerate(running):
            self._step(slot, one)
        for one, loss, taken in zip(running, losses.detach().unbind(), sequences, strict=True):
            one.losses.append(loss)
            one.tokens += sum(len(sequence.tokens) for sequence in taken)
            one.step += 1
        self.statistics.ticks += 1
        self.statistics.slot_steps += len(running)
        self.statistics.capacity += self._stack.slots
        self.statistics.tokens += sum(len(sequence.tokens) for taken in sequences for sequence in taken)

    def _losses(self, sequences: list[list[TrainingSequence]]) -> torch.Tensor:
        """Mean loss of each slot over its learnt tokens; [busy slots]."""
        device = self._base.device
        flat = [sequence for taken in sequences for sequence in taken]
        lengths = [len(sequence.tokens) for sequence in flat]
        by_slot = group_tokens([sum(len(s.tokens) for s in taken) for taken in sequences], device)
        by_sequence = by_slot if len(flat) == len(sequences) else group_tokens(lengths, device)
        tokens = to_device(torch.tensor([token for sequence in flat for token in sequence.tokens]), device)
        positions = to_device(torch.cat([torch.arange(length) for length in lengths]), device)
        kept, slots, shares = _learnt_positions(sequences)
        kept, slots, shares = (to_device(part, device) for part in (kept, slots, shares))
        matrices = self._stack.first(len(sequences))
        scaling = self._stack.spec.scaling
        with self._base.switch.on(matrices, by_slot, scaling, learning=True), packed_sequences(by_sequence):
            logits = self._logits(tokens, positions, kept)
        each = torch.nn.functional.cross_entropy(logits.float(), tokens[kept + 1], reduction="none")
        return torch.zeros(len(sequences), device=device).index_add(0, slots, each * shares)

    def _logits(self, tokens: torch.Tensor, positions: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        model = self._base.model
        if self._keeps_positions:
            out = model(input_ids=tokens[None], position_ids=positions[None], use_cache=False, logits_to_keep=kept)
            return out.logits[0]
        return model(input_ids=tokens[None], position_ids=positions[None], use_cache=False).logits[0, kept]

    def _clip(self, running: list[_Running]) -> None:
        gradients = self._stack.gradients
        assert gradients is not None  # noqa: S101 - this stack trains
        mine = gradients[: len(running)]
        most = to_device(torch.tensor([one.job.recipe.max_grad_norm for one in running]), self._base.device)
        norms = torch.linalg.vector_norm(mine, dim=1)
        mine.mul_((most / (norms + 1e-6)).clamp_(max=1.0)[:, None])

    def _step(self, slot: int, one: _Running) -> None:
        gradients = self._stack.gradients
        assert gradients is not None  # noqa: S101 - this stack trains
        adamw(
            [self._stack.weights[slot]], [gradients[slot]],
            [self._first_moments[slot]], [self._second_moments[slot]], [],
            [torch.tensor(float(one.step), device=self._base.device)],
            fused=True, amsgrad=False, maximize=False, beta1=0.9, beta2=0.999, eps=1e-8,
            lr=rate_at(one.step, len(one.order), one.job.recipe), weight_decay=one.job.recipe.weight_decay,
        )

    def _result(self, one: _Running, slot: int) -> InnerResult:
        losses: list[float] = torch.stack(one.losses).tolist()
        adapter = self._stack.read(slot)
        if not all(map(math.isfinite, losses)) or not bool(torch.isfinite(self._stack.weights[slot]).all()):
            raise SealError(
                f"inner update {one.job.key}: the loss is no longer finite after {len(losses)} steps",
                next_step="lower inner_update.learning_rate in seal.yaml",
            )
        elapsed = time.monotonic() - one.started
        return InnerResult(one.job.key, adapter, losses, one.step, one.tokens, elapsed)


def _learnt_positions(
    sequences: list[list[TrainingSequence]],
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Packed positions whose next token is learnt, the slot of each, and its share in that slot's mean."""
    kept: list[int] = []
    slots: list[int] = []
    shares: list[float] = []
    start = 0
    for slot, taken in enumerate(sequences):
        mine: list[int] = []
        for sequence in taken:
            first = max(1, sequence.learnt_from)
            mine += range(start + first - 1, start + len(sequence.tokens) - 1)
            start += len(sequence.tokens)
        kept += mine
        slots += [slot] * len(mine)
        shares += [1.0 / len(mine)] * len(mine)
    return torch.tensor(kept), torch.tensor(slots), torch.tensor(shares)


def _check(job: InnerJob, spec: LoraSpec, window_tokens: int) -> None:
    if not job.sequences:
        raise SealError(f"inner update {job.key}: there is nothing to train on")
    if job.start.spec != spec:
        raise SealError(f"inner update {job.key}: its adapter has another shape than the bank")
    for index, sequence in enumerate(job.sequences):
        if len(sequence.tokens) > window_tokens:
            raise SealError(
                f"inner update {job.key}: sequence {index} has {len(sequence.tokens)} tokens, "
                f"the model's window {window_tokens}"
            )
        if len(sequence.tokens) <= max(1, sequence.learnt_from):
            raise SealError(f"inner update {job.key}: sequence {index} has no token to learn")
