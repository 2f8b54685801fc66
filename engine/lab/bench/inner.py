"""`lab bench inner`: the bank against SEAL's method and a good sequential PEFT loop, on the same inner updates.

All methods take turns in every round, so that a drift of the machine affects them alike, and are compared round by
round. Memory is measured separately, each method in its own process. Nothing is extrapolated: SEAL's method does fewer
updates or steps, and the result says how many; methods are compared by the seconds of one optimiser step.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Any

from engine.bank.auto import auto_slots, slot_bytes, tokens_per_step
from engine.lab.bench.baselines import METHODS, BankMethod, BenchMethod, MethodName, make_method, tidy
from engine.lab.bench.bounds import bounds
from engine.lab.bench.equality import compare_adapters
from engine.lab.bench.jobs import RECIPE, RoundTiming, Subject, bench_jobs, described_jobs
from engine.lab.bench.memory import MemoryProbe, peak_memory_bytes
from engine.lab.bench.seal_baseline import padded_tokens
from engine.lab.bench.subject import described_environment, described_subject, load_subject, subject_folder
from store.errors import WrongUseError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from engine.bank.job import InnerJob
    from engine.lora.adapter import Adapter
    from engine.model.base import BaseModel

SCHEMA = 2


@dataclass(frozen=True, slots=True)
class InnerBenchEffort:
    """How much is measured: rounds, epochs of each update, and SEAL's share of each round."""

    rounds: int = 3
    epochs: int = RECIPE.epochs
    seal_updates: int = 1
    seal_steps: int = 1_000_000
    memory: bool = True


def bench_inner(
    base_path: str,
    *,
    seed: int,
    methods: Sequence[str],
    updates: int,
    slots: int | None,
    precision: str,
    out: Path | None,
    narrate: Callable[[str], None],
    effort: InnerBenchEffort = InnerBenchEffort(),
) -> dict[str, Any]:
    """Measure the named methods, always including `bank`, and return figures that JSON can carry.

    `base_path` is "bundled", "random-100m" or a model folder; `slots` None means `auto_slots`; the raw result is
    written to `out`. Raises WrongUseError for an unknown method or if there are no updates.
    """
    _check(methods, updates, effort)
    names = [name for name in METHODS if name == "bank" or name in methods]
    with subject_folder(base_path, seed) as folder:
        base, subject = load_subject(folder, base_path, precision)
        jobs = bench_jobs(base, subject.spec, updates=updates, seed=seed, epochs=effort.epochs)
        taken = slots or auto_slots(base, subject.spec, jobs)
        result = _described(base, subject, base_path, jobs, slots=taken, seed=seed, effort=effort)
        narrate(f"{len(jobs)} inner updates of {result['jobs']['steps']} steps in all, {taken} slots")
        result |= _compared(base, subject, jobs, names, slots=taken, effort=effort, narrate=narrate)
        if effort.memory:
            probe = MemoryProbe("bank", folder, precision, seed, min(updates, taken), taken, effort.seal_steps)
            _add_memory(result, probe, narrate)
    if out is not None:
        out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result


def _check(methods: Sequence[str], updates: int, effort: InnerBenchEffort) -> None:
    unknown = sorted(set(methods) - set(METHODS))
    if unknown:
        raise WrongUseError(
            f"bench inner: unknown method {unknown[0]!r}", next_step=f"choose among {', '.join(METHODS)}"
        )
    if updates < 1 or effort.rounds < 1:
        raise WrongUseError("bench inner: updates and rounds must be at least 1")


def _compared(
    base: BaseModel,
    subject: Subject,
    jobs: list[InnerJob],
    names: list[MethodName],
    *,
    slots: int,
    effort: InnerBenchEffort,
    narrate: Callable[[str], None],
) -> dict[str, Any]:
    """Let the methods take turns; returns their figures, ratios, equality and bounds."""
    bank = BankMethod(base, subject, slots)
    prepared: dict[str, BenchMethod] = {
        name: bank
        if name == "bank"
        else make_method(
            name, base, subject, slots=slots, seal_updates=effort.seal_updates, seal_steps=effort.seal_steps
        )
        for name in names
    }
    rounds, adapters = _take_turns(prepared, jobs, effort.rounds, narrate)
    result: dict[str, Any] = {
        "methods": {name: _summary(done) for name, done in rounds.items()},
        "ratios": {name: _ratios(rounds["bank"], done) for name, done in rounds.items() if name != "bank"},
        "bounds": bounds(base, subject, rounds["bank"][-1], bank.statistics),
    }
    if "seal" in names:
        result["methods"]["seal"]["padded_to_tokens"] = padded_tokens(subject)
    if "peft" in names:
        result["equality"] = compare_adapters(base, jobs, adapters["bank"], adapters["peft"])
    return result


def _described(
    base: BaseModel,
    subject: Subject,
    path: str,
    jobs: list[InnerJob],
    *,
    slots: int,
    seed: int,
    effort: InnerBenchEffort,
) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "seed": seed,
        "slots": slots,
        "estimated_bytes_of_slots": slots * slot_bytes(base, subject.spec, tokens_per_step(jobs)),
        "effort": asdict(effort),
        "environment": described_environment(subject.device),
        "subject": described_subject(base, subject, path),
        "jobs": described_jobs(jobs),
    }


def _take_turns(
    prepared: dict[str, BenchMethod], jobs: list[InnerJob], rounds: int, narrate: Callable[[str], None]
) -> tuple[dict[str, list[RoundTiming]], dict[str, dict[str, Adapter]]]:
    """Warm up every method with one step or job, then let them take turns; adapters are those of the last round."""
    found: dict[str, list[RoundTiming]] = {name: [] for name in prepared}
    adapters: dict[str, dict[str, Adapter]] = {}
    for method in prepared.values():
        method.train(jobs[:1])
    for number in range(1, rounds + 1):
        for name, method in prepared.items():
            tidy()
            done, adapters[name] = method.train(jobs)
            found[name].append(done)
            narrate(
                f"round {number} of {rounds}, {name}: {done.updates} updates, {done.steps} steps "
                f"in {done.seconds:.1f} s, {done.steps / done.train_s:.1f} steps/s"
            )
    return found, adapters


def _summary(rounds: list[RoundTiming]) -> dict[str, Any]:
    """Return medians over the rounds, the minimum and maximum of each rate, and the rounds themselves."""
    rates = {
        "updates_per_s": [done.updates / done.seconds for done in rounds],
        "steps_per_s": [done.steps / done.train_s for done in rounds],
        "real_tokens_per_s": [done.tokens / done.train_s for done in rounds],
        "seconds_per_step": [done.train_s / done.steps for done in rounds],
        "seconds_per_update_outside_steps": [(done.seconds - done.train_s) / done.updates for done in rounds],
        "busy_share": [done.busy_share for done in rounds],
    }
    return {
        **{name: median(values) for name, values in rates.items()},
        "spread": {name: [min(values), max(values)] for name, values in rates.items()},
        "rounds": [asdict(done) for done in rounds],
    }


def _ratios(bank: list[RoundTiming], other: list[RoundTiming]) -> dict[str, Any]:
    """Return how many times faster the bank is per optimiser step: the ratio of medians, and that of each round."""
    each = [
        (theirs.train_s / theirs.steps) / (mine.train_s / mine.steps) for mine, theirs in zip(bank, other, strict=True)
    ]
    medians = [median(done.train_s / done.steps for done in rounds) for rounds in (other, bank)]
    tokens = [median(done.tokens / done.train_s for done in rounds) for rounds in (bank, other)]
    return {
        "per_step": medians[0] / medians[1],
        "per_step_of_each_round": each,
        "per_real_token": tokens[0] / tokens[1],
    }


def _add_memory(result: dict[str, Any], probe: MemoryProbe, narrate: Callable[[str], None]) -> None:
    tidy()
    for name, method in result["methods"].items():
        method["peak_memory_bytes"] = peak_memory_bytes(replace(probe, method=name))
        narrate(f"memory, {name}: {method['peak_memory_bytes'] / 2**20:.0f} MiB")
