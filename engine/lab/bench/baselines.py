"""The methods that the benchmark compares, behind one interface."""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING, Literal, Protocol, get_args

import torch

from engine.bank.training import BankStatistics, InnerUpdateBank
from engine.lab.bench.jobs import RoundTiming, Subject
from engine.lab.bench.seal_baseline import SealMethod
from engine.lab.bench.sequential import SequentialPeft
from store.errors import WrongUseError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.bank.job import InnerJob
    from engine.lora.adapter import Adapter
    from engine.model.base import BaseModel

MethodName = Literal["bank", "peft", "seal"]
METHODS: tuple[MethodName, ...] = get_args(MethodName)


class BenchMethod(Protocol):
    """One method of training inner updates."""

    def train(self, jobs: Sequence[InnerJob]) -> tuple[RoundTiming, dict[str, Adapter]]:
        """Train the jobs, or as many as this method has time for; returns what was done, and adapters by key."""
        ...


class BankMethod:
    """The engine's bank; `statistics` are those of the last round."""

    def __init__(self, base: BaseModel, subject: Subject, slots: int) -> None:
        self._base, self._spec, self._slots = base, subject.spec, slots
        self.statistics = BankStatistics()

    def train(self, jobs: Sequence[InnerJob]) -> tuple[RoundTiming, dict[str, Adapter]]:
        """Train all jobs in a new bank; the time to create it counts."""
        started = time.perf_counter()
        bank = InnerUpdateBank(self._base, self._spec, self._slots, clock=clock_for(self._base.device))
        results = list(bank.train(list(jobs)))
        seconds = time.perf_counter() - started
        self.statistics = bank.statistics
        steps, tokens = sum(result.steps for result in results), sum(result.tokens for result in results)
        done = RoundTiming(len(results), steps, tokens, seconds, seconds, bank.statistics.busy_share)
        return done, {result.key: result.adapter for result in results}


class SealShare:
    """SEAL's method, which is so slow that each round does only the next few updates in turn, and only some steps."""

    def __init__(self, subject: Subject, *, updates: int, most_steps: int) -> None:
        self._way = SealMethod(subject)
        self._updates, self._most_steps, self._next = updates, most_steps, 0

    def train(self, jobs: Sequence[InnerJob]) -> tuple[RoundTiming, dict[str, Adapter]]:
        """Do this round's share; its adapters differ by design, so none are returned."""
        mine = [jobs[(self._next + number) % len(jobs)] for number in range(self._updates)]
        self._next += self._updates
        return self._way.train(mine, self._most_steps), {}


def make_method(
    name: str, base: BaseModel, subject: Subject, *, slots: int, seal_updates: int, seal_steps: int
) -> BankMethod | SequentialPeft | SealShare:
    """Prepare a method by its name."""
    if name == "bank":
        return BankMethod(base, subject, slots)
    if name == "peft":
        return SequentialPeft(subject)
    if name == "seal":
        return SealShare(subject, updates=seal_updates, most_steps=seal_steps)
    raise WrongUseError(f"bench inner: unknown method {name!r}", next_step=f"choose among {', '.join(METHODS)}")


def clock_for(device: torch.device) -> Callable[[], float]:
    """Return a clock that waits for the device, so that the parts of a tick can be told apart."""
    if device.type == "cpu":
        return time.perf_counter

    def after_the_device() -> float:
        torch.cuda.synchronize(device)
        return time.perf_counter()

    return after_the_device


def tidy() -> None:
    """Free what the last method left behind, so that the next one does not pay for it."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
