"""`lab bench busy`: inner updates alone on the machine, and next to a process that takes one core.

Three ways take turns, each round alone and with the core taken: one process with all threads, one with one thread, and
several with one thread each. The adapters are the same; only the seconds differ.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import torch

from engine.bank.auto import auto_slots
from engine.executors.local import LocalExecutor
from engine.executors.process_pool import ProcessPool
from engine.executors.processes import ProcessExecutor
from engine.lab.bench.baselines import tidy
from engine.lab.bench.jobs import bench_jobs, described_jobs
from engine.lab.bench.subject import described_environment, described_subject, load_subject, subject_folder
from engine.runtime.child_environment import child_environment
from engine.runtime.machine import usable_cores
from store.errors import WrongUseError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from engine.bank.job import InnerJob
    from engine.executors.executor import Executor
    from engine.lab.bench.jobs import Subject
    from engine.model.base import BaseModel

SCHEMA = 1
LOADS = ("alone", "one_core_taken")
WAYS = ("all_threads", "one_thread", "processes")


@dataclass(frozen=True, slots=True)
class BusyBenchEffort:
    """How much is measured: updates and their epochs in each turn, and rounds of turns."""

    updates: int = 64
    epochs: int = 5
    rounds: int = 3


@dataclass(frozen=True, slots=True)
class TurnTiming:
    """One turn of one way; `load_average` is that of the last minute at its start."""

    seconds: float
    steps: int
    tokens: int
    load_average: float


def bench_busy(
    base_path: str,
    *,
    seed: int,
    slots: int | None,
    processes: int | None,
    precision: str,
    out: Path | None,
    narrate: Callable[[str], None],
    effort: BusyBenchEffort = BusyBenchEffort(),
) -> dict[str, Any]:
    """Measure all ways on a CPU and return figures that JSON can carry; the raw result is written to `out`.

    `base_path` is "bundled", "random-100m" or a model folder; `slots` None means `auto_slots`, `processes` None one for
    each core, but at least two. Raises WrongUseError if the model is not on a CPU.
    """
    count = processes or max(2, usable_cores())
    with subject_folder(base_path, seed) as folder:
        base, subject = load_subject(folder, base_path, precision)
        if base.device.type != "cpu":
            raise WrongUseError("bench busy: it compares threads with processes, and this model is on a GPU")
        jobs = bench_jobs(base, subject.spec, updates=effort.updates, seed=seed, epochs=effort.epochs)
        taken = slots or auto_slots(base, subject.spec, jobs, count)
        result: dict[str, Any] = {
            "schema": SCHEMA,
            "seed": seed,
            "slots": taken,
            "processes": count,
            "cores": usable_cores(),
            "niceness": os.getpriority(os.PRIO_PROCESS, 0),
            "effort": asdict(effort),
            "environment": described_environment(base.device),
            "subject": described_subject(base, subject, base_path),
            "jobs": described_jobs(jobs),
        }
        narrate(
            f"{len(jobs)} inner updates of {result['jobs']['steps']} steps in all, {taken} slots, {count} processes"
        )
        turns = _take_turns(base, subject, jobs, slots=taken, processes=count, rounds=effort.rounds, narrate=narrate)
    result |= _summaries(turns)
    if out is not None:
        out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result


def _take_turns(
    base: BaseModel,
    subject: Subject,
    jobs: Sequence[InnerJob],
    *,
    slots: int,
    processes: int,
    rounds: int,
    narrate: Callable[[str], None],
) -> dict[str, dict[str, list[TurnTiming]]]:
    """Return the turns of each way under each load; every way has worked once before."""
    turns: dict[str, dict[str, list[TurnTiming]]] = {load: {way: [] for way in WAYS} for load in LOADS}
    threads, local = torch.get_num_threads(), LocalExecutor(base, slots)
    with ProcessPool(base, processes) as pool:
        ways: dict[str, tuple[Executor, int]] = {
            "all_threads": (local, threads),
            "one_thread": (local, 1),
            "processes": (ProcessExecutor(base, pool, slots), 1),
        }
        try:
            for executor, _ in ways.values():
                list(executor.train(jobs[:processes], subject.spec))
            for number in range(1, rounds + 1):
                for load in LOADS:
                    for way, (executor, in_this) in ways.items():
                        tidy()
                        torch.set_num_threads(in_this)
                        with _core_taken(load):
                            done = _turn(executor, subject, jobs)
                        turns[load][way].append(done)
                        narrate(
                            f"round {number} of {rounds}, {_words(load)}, {_words(way)}: "
                            f"{done.steps / done.seconds:.1f} steps/s, {done.tokens / done.seconds:,.0f} tokens/s"
                        )
        finally:
            torch.set_num_threads(threads)
    return turns


def _turn(executor: Executor, subject: Subject, jobs: Sequence[InnerJob]) -> TurnTiming:
    load, started = os.getloadavg()[0], time.perf_counter()
    results = list(executor.train(jobs, subject.spec))
    seconds = time.perf_counter() - started
    return TurnTiming(seconds, sum(one.steps for one in results), sum(one.tokens for one in results), load)


@contextmanager
def _core_taken(load: str) -> Iterator[None]:
    """Let another process compute while the block runs, if this load has one."""
    if load == "alone":
        yield
        return
    command = [sys.executable, "-P", "-m", "engine.lab.bench.matrix_products"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env={**child_environment(), "OMP_NUM_THREADS": "1"}, **pipes) as other:
        try:
            assert other.stdout is not None  # noqa: S101 - it is a pipe
            other.stdout.readline()
            yield
        finally:
            other.kill()


def _summaries(turns: dict[str, dict[str, list[TurnTiming]]]) -> dict[str, Any]:
    """Return medians and turns of each way, how much longer it takes with a core taken, and processes over threads."""
    found: dict[str, Any] = {
        load: {
            way: {
                "steps_per_s": median(one.steps / one.seconds for one in done),
                "tokens_per_s": median(one.tokens / one.seconds for one in done),
                "turns": [asdict(one) for one in done],
            }
            for way, done in ways.items()
        }
        for load, ways in turns.items()
    }
    rates = {load: {way: figures["steps_per_s"] for way, figures in found[load].items()} for load in LOADS}
    alone, taken = (rates[load] for load in LOADS)
    return {
        "loads": found,
        "times_as_long_with_a_core_taken": {way: alone[way] / taken[way] for way in WAYS},
        "processes_over_all_threads": {load: rates[load]["processes"] / rates[load]["all_threads"] for load in LOADS},
    }


def _words(name: str) -> str:
    return name.replace("_", " ")
