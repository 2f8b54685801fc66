"""Trains many inner updates side by side: a slot that finishes takes the next job from the queue.

Each tick takes the next step of every job in a slot. The sequences are packed into one row, the frozen base processes
all of them at once, and each adapter has its own loss, gradient norm, learning rate, step count and optimiser state.
Adapters are independent, so an adapter from the bank equals the one trained alone, up to the order of summation.
"""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from torch.optim.adamw import adamw

from engine.bank.head_loss import plain_head
from engine.bank.job import (
    FailedUpdate,
    InnerJob,
    InnerResult,
    RunningUpdate,
    TrainingSequence,
    rate_at,
    spread_points,
    training_order,
)
from engine.bank.packing import Group, PackedTick, pack
from engine.bank.stack import AdapterStack, adapter_from, flat_weights, trim_small_changes
from engine.model.attention import packed_sequences
from engine.model.token_layout import to_device
from store.errors import SealError

if TYPE_CHECKING:
    from engine.bank.preconditioner import KroneckerPreconditioner
    from engine.lora.adapter import Adapter, LoraSpec
    from engine.model.base import BaseModel


@dataclass(slots=True)
class _ActiveJob:
    """A job in a slot, and how far it is."""

    slot: int
    job: InnerJob
    order: list[list[int]]
    start: torch.Tensor | None  # [parameters], under the bank's preconditioner; kept only for trimming
    started: float
    step: int = 0
    tokens: int = 0
    losses: list[torch.Tensor] = field(default_factory=list)

    def next_sequences(self) -> list[TrainingSequence]:
        """Return the job's own sequences of the next step, then the replayed ones, group by group."""
        own = [self.job.sequences[index] for index in self.order[self.step]]
        return own + [
            group.sequences[index] for group in self.job.replay_groups for index in group.indices_at(self.step)
        ]

    def next_groups(self) -> list[Group]:
        """Return the sizes and loss weights of the next step's groups, the job's own first."""
        indices_at = [(len(group.indices_at(self.step)), group.weight) for group in self.job.replay_groups]
        return [(len(self.order[self.step]), 1.0), *((count, weight) for count, weight in indices_at if count)]


@dataclass(slots=True)
class BankStatistics:
    """What a bank did: `slot_steps` is the number of busy slots summed over ticks, `capacity` that of all slots.

    `input_tokens` counts the tokens given to the base, without padding. The seconds are those of the bank's clock; if
    the clock does not wait for a CUDA device, they only time the launches.
    """

    ticks: int = 0
    slot_steps: int = 0
    capacity: int = 0
    input_tokens: int = 0
    forward_s: float = 0.0
    backward_s: float = 0.0
    optimiser_s: float = 0.0

    @property
    def busy_share(self) -> float:
        """Share of slots that were busy, over all ticks."""
        return self.slot_steps / max(1, self.capacity)


class InnerUpdateBank:
    """Slots for inner updates of one shape over one base."""

    def __init__(
        self,
        base: BaseModel,
        spec: LoraSpec,
        slots: int,
        *,
        preconditioner: KroneckerPreconditioner | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """With a `preconditioner`, adapters are trained under it; what goes in and comes out are ordinary adapters."""
        self._base, self._preconditioner = base, preconditioner
        self._clock = clock
        self._spec, self._slots = spec, slots
        # A preconditioner turns the working copy in place, which must not be rounded before that.
        precision = base.precision if preconditioner is None else torch.float32
        self._stack = AdapterStack(spec, slots, base.device, precision, training=True)
        # Filled when a job takes the slot, so that slots that are never taken cost no memory.
        self._weights, self._first_moments, self._second_moments = (
            torch.empty(slots, spec.parameters, device=base.device) for _ in range(3)
        )
        self._steps = torch.zeros(slots, device=base.device)  # incremented by AdamW itself
        self._head = plain_head(base.model)
        self._keeps_positions = "logits_to_keep" in inspect.signature(base.model.forward).parameters
        self._active: list[_ActiveJob] = []
        self.statistics = BankStatistics()

    def train(
        self,
        jobs: Iterable[InnerJob],
        on_tick: Callable[[int], None] | None = None,
        on_failed: Callable[[FailedUpdate], None] | None = None,
    ) -> Iterator[InnerResult]:
        """Train every job and yield each result as it finishes; `on_tick` is called with the number of busy slots.

        The longest jobs of a list are started first, so that few slots are idle at the end; other iterables are drawn
        from in order as slots become free. A job whose loss or weights are no longer finite is passed to `on_failed`
        instead of being yielded; without `on_failed` it raises SealError, naming the job.
        """
        queue = iter(sorted(jobs, key=lambda job: -job.steps) if isinstance(jobs, Sequence) else jobs)
        running, free = list[_ActiveJob](), list(reversed(range(self._slots)))
        self._active = running
        self._fill(queue, running, free)
        while running:
            self._tick(running)
            if on_tick is not None:
                on_tick(len(running))
            ended = [one for one in running if one.step == len(one.order)]
            failures = [self._failure(one) for one in ended]
            finished = [one for one, failed in zip(ended, failures, strict=True) if failed is None]
            adapters = self._adapters(finished)
            for one, failed in zip(ended, failures, strict=True):
                if failed is not None:
                    report_failure(failed, on_failed)
                    running.remove(one)
                    free.append(one.slot)
            for one, adapter in zip(finished, adapters, strict=True):
                result = self._result(one, adapter)
                running.remove(one)
                free.append(one.slot)
                self._fill(queue, running, free)
                yield result
            self._fill(queue, running, free)

    def running(self, points: int = 40) -> list[RunningUpdate]:
        """Return what is training right now, by slot, with up to `points` losses of each job.

        Reading losses waits for everything the device still has queued, so do not call it at every tick.
        """
        active = sorted(self._active, key=lambda one: one.slot)
        shown = [[one.losses[at] for at in spread_points(len(one.losses), points)] for one in active]
        read = iter(torch.stack([loss for losses in shown for loss in losses]).tolist() if any(shown) else [])
        updates = []
        for one, losses in zip(active, shown, strict=True):
            values = [value for value in islice(read, len(losses)) if math.isfinite(value)]
            updates.append(RunningUpdate(one.job.key, one.slot, one.step, len(one.order), values, one.job.repeat))
        return updates

    def _fill(self, queue: Iterator[InnerJob], running: list[_ActiveJob], free: list[int]) -> None:
        jobs = list(islice(queue, len(free)))
        for job in jobs:
            _check(job, self._spec, self._base.window_tokens)
        for job, row in zip(jobs, self._initial_weights(jobs), strict=True):
            slot, start = free.pop(), to_device(row, self._base.device)
            self._weights[slot].copy_(start)
            for state in (self._first_moments, self._second_moments, self._steps):
                state[slot].zero_()
            kept = start if job.recipe.trim_below else None
            running.append(_ActiveJob(slot, job, training_order(job), kept, time.monotonic()))

    def _initial_weights(self, jobs: Sequence[InnerJob]) -> list[torch.Tensor]:
        """Return the weights that jobs start from, under the bank's preconditioner: [parameters] each."""
        starts = [job.start for job in jobs]
        return [
            flat_weights(one)
            for one in (self._preconditioner.unprecondition(starts) if self._preconditioner else starts)
        ]

    def _tick(self, running: list[_ActiveJob]) -> None:
        times = [self._clock()]
        running = sorted(running, key=lambda one: sum(sequence.input_length for sequence in one.next_sequences()))
        sequences = [one.next_sequences() for one in running]
        for row, one in enumerate(running):
            self._stack.weights[row].copy_(self._weights[one.slot])
        if self._preconditioner is not None:
            self._preconditioner.apply_to_weights(self._stack.first(len(running)))
        total, losses = self._losses(sequences, [one.next_groups() for one in running])
        times.append(self._clock())
        total.backward()
        if self._preconditioner is not None:
            self._preconditioner.apply_to_gradients(self._stack.first(len(running)))
        times.append(self._clock())
        for row, (one, divisor) in enumerate(zip(running, self._divisors(running).unbind(), strict=True)):
            self._optimise(row, one, divisor)
        times.append(self._clock())
        for one, loss, taken in zip(running, losses.unbind(), sequences, strict=True):
            one.losses.append(loss)
            one.tokens += sum(len(sequence.tokens) for sequence in taken)
            one.step += 1
        self._count(sequences, times)

    def _count(self, sequences: list[list[TrainingSequence]], times: list[float]) -> None:
        statistics = self.statistics
        statistics.ticks += 1
        statistics.slot_steps += len(sequences)
        statistics.capacity += self._slots
        statistics.input_tokens += sum(sequence.input_length for taken in sequences for sequence in taken)
        statistics.forward_s += times[1] - times[0]
        statistics.backward_s += times[2] - times[1]
        statistics.optimiser_s += times[3] - times[2]

    def _losses(
        self, sequences: list[list[TrainingSequence]], groups: list[list[Group]]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the loss to minimise, [], and the mean loss of each slot over its own targets, [busy slots]."""
        tick = pack(sequences, self._base.device, groups)
        matrices, scaling = self._stack.first(len(sequences)), self._spec.scaling
        with self._base.switch.on(matrices, tick.by_slot, scaling, training=True), packed_sequences(tick.by_sequence):
            each = self._losses_of_targets(tick)
        own = each.new_zeros(len(sequences)).index_add(0, tick.slots, each.detach() * tick.own_weights)
        return (each * tick.loss_weights).sum(), own

    def _losses_of_targets(self, tick: PackedTick) -> torch.Tensor:
        """Return the loss at each target position, [targets]."""
        call = {"input_ids": tick.tokens[None], "position_ids": tick.positions[None], "use_cache": False}
        if self._head is not None:
            hidden: torch.Tensor = self._base.model.get_decoder()(**call).last_hidden_state
            return tick.targets.losses_at(hidden.squeeze(0)[tick.target_positions], self._head)
        return tick.targets.losses(self._logits(tick, call))

    def _logits(self, tick: PackedTick, call: dict[str, Any]) -> torch.Tensor:
        """Return the logits at the target positions only, [targets, vocabulary]."""
        if self._keeps_positions:
            kept: torch.Tensor = self._base.model(**call, logits_to_keep=tick.target_positions).logits.squeeze(0)
            return kept
        every: torch.Tensor = self._base.model(**call).logits.squeeze(0)
        return every[tick.target_positions]

    def _divisors(self, running: list[_ActiveJob]) -> torch.Tensor:
        """Return the divisor of each slot's stored gradient, [busy slots].

        It supplies the factor that the stored gradients lack, and clips the norm to the recipe's limit.
        """
        gradients = self._stack.gradients
        assert gradients is not None  # noqa: S101 - this stack trains
        most = to_device(torch.tensor([one.job.recipe.max_grad_norm for one in running]), self._base.device)
        norms = torch.linalg.vector_norm(gradients[: len(running)], dim=1) * self._spec.scaling
        divisors: torch.Tensor = ((norms + 1e-6) / most).clamp_(min=1.0) / self._spec.scaling
        return divisors

    def _optimise(self, row: int, one: _ActiveJob, divisor: torch.Tensor) -> None:
        gradients = self._stack.gradients
        assert gradients is not None  # noqa: S101 - this stack trains
        adamw(
            [self._weights[one.slot]],
            [gradients[row]],
            [self._first_moments[one.slot]],
            [self._second_moments[one.slot]],
            [],
            [self._steps[one.slot]],
            fused=True,
            grad_scale=divisor,
            amsgrad=False,
            maximize=False,
            beta1=0.9,
            beta2=0.999,
            eps=1e-8,
            lr=rate_at(one.step, len(one.order), one.job.recipe),
            weight_decay=one.job.recipe.weight_decay,
        )

    def _adapters(self, finished: Sequence[_ActiveJob]) -> list[Adapter]:
        """Return the results of finished jobs as ordinary adapters."""
        adapters = [adapter_from(self._without_small_changes(one), self._spec) for one in finished]
        return adapters if self._preconditioner is None else self._preconditioner.precondition(adapters)

    def _without_small_changes(self, one: _ActiveJob) -> torch.Tensor:
        row = self._weights[one.slot]
        return row if one.start is None else trim_small_changes(row, one.start, self._spec, one.job.recipe.trim_below)

    def _failure(self, one: _ActiveJob) -> FailedUpdate | None:
        """Return how a job that has taken all its steps failed; None if its losses and weights are finite."""
        losses: list[float] = torch.stack(one.losses).tolist()
        bad = next((place for place, loss in enumerate(losses) if not math.isfinite(loss)), None)
        # Both extremes are NaN if any weight is; unlike isfinite().all(), this makes no other tensors of that size.
        if bad is None and bool(torch.isfinite(torch.stack(torch.aminmax(self._weights[one.slot]))).all()):
            return None
        before = losses if bad is None else losses[:bad]
        bad_step = None if bad is None else bad + 1
        return FailedUpdate(one.job.key, one.job.repeat, len(losses), bad_step, before[-1] if before else None)

    def _result(self, one: _ActiveJob, adapter: Adapter) -> InnerResult:
        losses: list[float] = torch.stack(one.losses).tolist()
        elapsed_s = time.monotonic() - one.started
        job = one.job
        return InnerResult(job.key, adapter, losses, one.step, one.tokens, elapsed_s, job.seed, job.repeat)


def report_failure(failed: FailedUpdate, on_failed: Callable[[FailedUpdate], None] | None) -> None:
    """Pass an update that failed to whoever wants to know. Raises SealError, naming it, if nobody does."""
    if on_failed is None:
        raise SealError(
            f"inner update {failed.key}: the loss is no longer finite after {failed.steps} steps",
            next_step="lower inner_update.learning_rate in seal.yaml",
        )
    on_failed(failed)


def _check(job: InnerJob, spec: LoraSpec, window_tokens: int) -> None:
    if not job.sequences:
        raise SealError(f"inner update {job.key}: there is nothing to train on")
    if job.start.spec != spec:
        raise SealError(f"inner update {job.key}: its adapter and the bank have different shapes")
    indices_at = [sequence for group in job.replay_groups for sequence in group.sequences]
    for index, sequence in enumerate([*job.sequences, *indices_at]):
        if len(sequence.tokens) > window_tokens:
            raise SealError(
                f"inner update {job.key}: sequence {index} has {len(sequence.tokens)} tokens, "
                f"but the model's window has {window_tokens}"
            )
        if len(sequence.tokens) <= max(1, sequence.first_target):
            raise SealError(f"inner update {job.key}: sequence {index} has no token to learn")
