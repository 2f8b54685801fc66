"""The executor of several compute processes with one thread each, for a CPU that others use too.

Threads of one process wait for each other at every small product, so a processor that somebody else takes for a moment
stops all of them. Processes wait for nobody. Adapters are trained in the bank of one process, prompts are answered in
the batch of one, so results are those of the local executor, up to the rounding that depends on what shares a batch.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch

from engine.bank.auto import auto_slots
from engine.bank.training import report_failure
from engine.executors.dealing import DealtInference, DealtTraining, share_slots
from engine.executors.local import LocalExecutor, rows_per_batch
from engine.executors.messages import Inference
from engine.generation.prompts import Divergence

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from engine.bank.job import FailedUpdate, InnerJob, InnerResult, RunningUpdate
    from engine.bank.preconditioner import KroneckerPreconditioner
    from engine.executors.executor import ModelIdentity
    from engine.executors.messages import Reply
    from engine.executors.process_pool import ProcessPool
    from engine.generation.prompts import BatchSize, ChoicePrompt, Completion, TextPrompt
    from engine.generation.sampling import Sampling
    from engine.lora.adapter import Adapter, LoraSpec
    from engine.model.base import BaseModel

_REPORT_INTERVAL_S = 1.0
_SHARES_PER_PROCESS = 4  # of prompts that are only read: small enough that none is idle for long at the end
_CHARACTERS_PER_TOKEN = 3  # a guess, to tell little work from much
_TRAINING_OPERATIONS, _READING_OPERATIONS = 4, 2  # for each parameter and token: forward and backward; forward


class ProcessExecutor:
    """Trains and generates in a pool of processes; before they are worth starting, in this one, with one thread."""

    def __init__(self, base: BaseModel, pool: ProcessPool, slots: BatchSize = "auto") -> None:
        """`slots` is how many inner updates train at once, in all processes together."""
        self._base, self._pool, self._slots = base, pool, slots
        self._local = LocalExecutor(base, slots)
        self._parameters = base.model.num_parameters()

    @property
    def identity(self) -> ModelIdentity:
        """The base model that everything runs on."""
        return self._local.identity

    def train(
        self,
        jobs: Sequence[InnerJob],
        spec: LoraSpec,
        *,
        preconditioner: KroneckerPreconditioner | None = None,
        on_running: Callable[[list[RunningUpdate]], None] | None = None,
        on_failed: Callable[[FailedUpdate], None] | None = None,
    ) -> Generator[InnerResult, None, None]:
        """Train every job and yield each result as it finishes."""
        tokens = sum(job.recipe.epochs * sum(len(one.tokens) for one in job.sequences) for job in jobs)
        if not jobs or not self._is_worth(_TRAINING_OPERATIONS * tokens):
            yield from _with_one_thread(
                self._local.train(jobs, spec, preconditioner=preconditioner, on_running=on_running, on_failed=on_failed)
            )
            return
        slots = auto_slots(self._base, spec, jobs, self._pool.size) if self._slots == "auto" else self._slots
        shares = share_slots(slots, self._pool.size, len(jobs))
        number = self._pool.next_number()
        dealt = DealtTraining(number, jobs, spec, shares, preconditioner, reports=on_running is not None)
        running = _RunningUpdates(shares, on_running)
        with self._pool.dealing(dealt) as replies:
            for _ in jobs:
                reply = _taken(replies.get())
                while reply.kind == "running":
                    running.show(reply.place, reply.value)
                    reply = _taken(replies.get())
                self._pool.wake()
                running.ended(reply.value)
                if reply.kind == "failed update":
                    report_failure(reply.value, on_failed)
                else:
                    yield reply.value

    def complete(
        self,
        prompts: Sequence[TextPrompt],
        adapters: Sequence[Adapter | None],
        *,
        sampling: Sampling | None = None,
        batch_size: BatchSize = "auto",
    ) -> list[Completion]:
        """Complete the prompts; those that end by the same rule share batches."""
        characters = sum(len(one.text) for one in prompts)
        tokens = characters // _CHARACTERS_PER_TOKEN + sum(one.max_new_tokens for one in prompts)
        if not self._is_worth(_READING_OPERATIONS * tokens):
            with _one_thread():
                return self._local.complete(prompts, adapters, sampling=sampling, batch_size=batch_size)
        size, shares = self._pool.size, list[Sequence[int]]()
        for ending in dict.fromkeys((one.stop, one.max_new_tokens) for one in prompts):
            places = [place for place, one in enumerate(prompts) if (one.stop, one.max_new_tokens) == ending]
            places.sort(key=lambda place: (prompts[place].adapter, len(prompts[place].text)))
            rows = rows_per_batch(self._base.device.type, ending[1]) if batch_size == "auto" else batch_size
            rows = -(-rows // size)
            shares += _cut(places, size * -(-len(places) // (size * rows)))
        options = {"sampling": sampling, "batch_size": max(map(len, shares), default=1)}  # a share is one batch
        return self._infer("complete", prompts, adapters, shares, options)

    def choose(self, prompts: Sequence[ChoicePrompt], adapters: Sequence[Adapter | None]) -> list[str]:
        """Return the most likely option of each prompt."""
        characters = sum(sum(len(option) + len(one.text) for option in one.options) for one in prompts)
        if not self._is_worth(_READING_OPERATIONS * characters // _CHARACTERS_PER_TOKEN):
            with _one_thread():
                return self._local.choose(prompts, adapters)
        places = sorted(range(len(prompts)), key=lambda place: (prompts[place].adapter, len(prompts[place].text)))
        return self._infer("choose", prompts, adapters, _cut(places, self._pool.size * _SHARES_PER_PROCESS), {})

    def measure_divergence(self, texts: Sequence[str], adapters: Sequence[Adapter | None]) -> list[Divergence]:
        """Return how far each adapter is from the base on these texts."""
        readable = [text for text in texts if self._base.encoder.start(text)]
        tokens = sum(len(text) for text in readable) // _CHARACTERS_PER_TOKEN * (len(adapters) + 1)
        if not readable or not self._is_worth(_READING_OPERATIONS * tokens):
            with _one_thread():
                return self._local.measure_divergence(texts, adapters)
        readable.sort(key=len)
        shares = _cut(range(len(readable)), self._pool.size * _SHARES_PER_PROCESS)
        asked: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = [
            ("measure_divergence", ([readable[place] for place in share], adapters), {}) for share in shares
        ]
        measured: list[list[Divergence]] = self._ask(asked)
        return [_joined(parts) for parts in zip(*measured, strict=True)]

    def _is_worth(self, operations_per_parameter: float) -> bool:
        return self._pool.is_worth(self._parameters * operations_per_parameter)

    def _infer(
        self,
        method: str,
        prompts: Sequence[Any],
        adapters: Sequence[Adapter | None],
        shares: Sequence[Sequence[int]],
        options: dict[str, Any],
    ) -> list[Any]:
        """Let processes answer shares of the prompts, each with the adapters that it needs; results in order."""
        shares = sorted(shares, key=lambda share: -sum(len(prompts[place].text) for place in share))
        asked: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        for share in shares:
            used = sorted({prompts[place].adapter for place in share})
            mine = [replace(prompts[place], adapter=used.index(prompts[place].adapter)) for place in share]
            asked.append((method, (mine, [adapters[index] for index in used]), options))
        found: dict[int, Any] = {}
        for share, answers in zip(shares, self._ask(asked), strict=True):
            found.update(zip(share, answers, strict=True))
        return [found[place] for place in range(len(prompts))]

    def _ask(self, asked: Sequence[tuple[Any, tuple[Any, ...], dict[str, Any]]]) -> list[Any]:
        if not asked:
            return []
        number = self._pool.next_number()
        waiting = deque(Inference(number, place, *one) for place, one in enumerate(asked))
        found: dict[int, Any] = {}
        with self._pool.dealing(DealtInference(number, waiting)) as replies:
            while len(found) < len(asked):
                reply = _taken(replies.get())
                found[reply.place] = reply.value
        return [found[place] for place in range(len(asked))]


class _RunningUpdates:
    """What is training in all processes, passed on about once a second."""

    def __init__(self, slots: Sequence[int], show: Callable[[list[RunningUpdate]], None] | None) -> None:
        self._slots, self._show = slots, show
        self._of_process: dict[int, list[RunningUpdate]] = {}
        self._ended = set[tuple[str, int]]()
        self._shown_at = float("-inf")

    def show(self, process: int, updates: list[RunningUpdate]) -> None:
        """Take what one process reports, and pass all of it on if it is time."""
        self._of_process[process] = updates
        if self._show is None or time.monotonic() - self._shown_at < _REPORT_INTERVAL_S / 2:
            return
        self._shown_at = time.monotonic()
        self._show(
            [
                replace(one, slot=one.slot + sum(self._slots[:process]))
                for process, updates in sorted(self._of_process.items())
                for one in updates
                if (one.key, one.repeat) not in self._ended
            ]
        )

    def ended(self, update: InnerResult | FailedUpdate) -> None:
        """Leave out an update that has ended since its process reported."""
        self._ended.add((update.key, update.repeat))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute as a compute process does, so that little work on a busy machine does not wait for threads either."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _with_one_thread(results: Iterator[InnerResult]) -> Iterator[InnerResult]:
    while True:
        with _one_thread():
            result = next(results, None)
        if result is None:
            return
        yield result


def _taken(reply: Reply | Exception) -> Reply:
    if isinstance(reply, Exception):
        raise reply
    return reply


def _cut(places: Sequence[int], parts: int) -> list[Sequence[int]]:
    """Cut into at most so many parts of almost equal length, none empty."""
    parts = min(parts, len(places))
    ends = [len(places) * part // parts for part in range(parts + 1)] if parts else []
    return [places[start:end] for start, end in pairwise(ends)]


def _joined(parts: Sequence[Divergence]) -> Divergence:
    tokens = sum(part.tokens for part in parts)
    mean = sum(part.mean_kl * part.tokens for part in parts) / tokens
    return Divergence(mean, max(part.worst_kl for part in parts), tokens)
