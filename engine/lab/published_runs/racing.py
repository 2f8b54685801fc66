"""How much racing over repeats saves, and what it costs: measured on the verdicts of a published run.

Every rule is tried in all orders of the repeats, as if each had been the first. Two figures say what it keeps: the
accuracy over all repeats, on which the choice of the whole table is the best by construction, so that other rules look
worse than they are; and the accuracy on one repeat that did not take part, when the others decide.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import permutations
from statistics import mean
from typing import TYPE_CHECKING, Any

from engine.lab.published_runs.records import read_published_run
from engine.loop.racing import Contender, Race, next_updates, open_contenders
from engine.loop.select import paper_score
from store.errors import WrongUseError

if TYPE_CHECKING:
    from pathlib import Path

    from engine.lab.published_runs.records import PublishedCandidate
    from engine.loop.racing import RacingRule

_RESAMPLES = 2000
_INTERVAL = 0.95


@dataclass(frozen=True, slots=True)
class PassageVerdicts:
    """The table of a passage: right answers by self-edit and repeat, and how much text each self-edit trains on."""

    before: tuple[tuple[bool, ...], ...]
    right: tuple[tuple[int, ...], ...]
    characters: tuple[int, ...]

    @property
    def questions(self) -> int:
        """How many questions are asked about it."""
        return len(self.before[0])


@dataclass(frozen=True, slots=True)
class Try:
    """What a rule did with a passage: repeats of each self-edit, and the place of the one that it keeps."""

    repeats: list[int]
    kept: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over passages with the interval in which it lies in 95 % of resamplings of the passages."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class RuleFigures:
    """What a rule comes to. Shares and accuracies are 0 … 1.

    `trainings` and `text` are shares of what all repeats of all self-edits take: inner updates, and characters trained
    on. `same` is how often it keeps what the whole table keeps, `lost` by how much its accuracy over all repeats is
    lower, and `unseen` the accuracy of what it keeps on a repeat that did not decide.
    """

    rule: str
    trainings: Estimate
    text: Estimate
    same: Estimate
    lost: Estimate
    unseen: Estimate


Strategy = Callable[[PassageVerdicts, int], Try]


def measure_racing(path: Path, seed: int = 0) -> dict[str, Any]:
    """Return the figures of every rule on a published run, as the paper selects.

    Raises WrongUseError if the file is no published run, or its self-edits have fewer than two repeats.
    """
    passages = _passages(path)
    repeats = len(passages[0].right[0])
    strategies = _strategies(repeats)
    rows = [_figures(name, strategy, passages, repeats, seed) for name, strategy in strategies.items()]
    anyone = mean(
        sum(map(sum, passage.right)) / (len(passage.right) * repeats * passage.questions) for passage in passages
    )
    return {
        "schema": 1,
        "passages": len(passages),
        "self_edits": sum(len(passage.right) for passage in passages),
        "repeats": repeats,
        "accuracy_of_all": anyone,
        "rules": [asdict(row) for row in rows],
    }


def _strategies(repeats: int) -> dict[str, Strategy]:
    """Return the rules by name: those of `round.racing`, fewer repeats for all, and others that were considered."""

    def fewer(count: int) -> Strategy:
        return lambda passage, most: _cut(passage, most, lambda repeat, _: 0 if repeat >= count else len(passage.right))

    def halving(*widths: int) -> Strategy:
        return lambda passage, most: _cut(passage, most, lambda repeat, _: widths[min(repeat, len(widths) - 1)])

    def within(questions: int) -> Strategy:
        return lambda passage, most: _cut(passage, most, lambda _, behind: sum(one < questions for one in behind))

    def raced(rule: RacingRule) -> Strategy:
        return lambda passage, most: _raced(passage, most, rule)

    return {
        "off": raced("off"),
        **{f"{count} repeats for all" if count > 1 else "1 repeat for all": fewer(count)
           for count in range(repeats - 1, 0, -1)},
        "exact": raced("exact"),
        "leaders": raced("leaders"),
        "within 1 question": within(2),
        "within 2 questions": within(3),
        "the best 3, then 2": halving(5, 3, 2),
        "the best 2, then 1": halving(5, 2, 1),
        "the best 1": halving(5, 1),
    }  # fmt: skip


def _raced(passage: PassageVerdicts, repeats: int, rule: RacingRule) -> Try:
    """Race as a round does, with gates that refuse nothing."""
    race = Race(rule, "paper", 1, 0.0, repeats, passage.before)
    done = [0] * len(passage.right)
    while True:
        field = [Contender(str(at), at, right[: done[at]]) for at, right in enumerate(passage.right)]
        updates = next_updates(race, field)
        if not updates:
            still_open = [int(one.candidate_id) for one in open_contenders(race, field)]
            return Try(done, min(still_open, key=lambda at: _paper_order(passage, at, done[at])))
        for key, _ in updates:
            done[int(key)] += 1


def _cut(passage: PassageVerdicts, repeats: int, width: Callable[[int, list[int]], int]) -> Try:
    """Cut the field after each repeat to the best `width(repeat, how far each is behind)`, all on the same repeats."""
    done, field = [0] * len(passage.right), list(range(len(passage.right)))
    for repeat in range(repeats):
        if repeat:
            totals = {at: sum(passage.right[at][:repeat]) for at in field}
            field.sort(key=lambda at: (-totals[at], at))
            behind = [max(totals.values()) - totals[at] for at in field]
            if not width(repeat, behind):
                break
            field = field[: width(repeat, behind)]
        for at in field:
            done[at] += 1
    return Try(done, min(field, key=lambda at: _paper_order(passage, at, done[at])))


def _paper_order(passage: PassageVerdicts, at: int, repeats: int) -> tuple[float, int]:
    shares = [count / passage.questions for count in passage.right[at][:repeats]]
    return -paper_score(shares), at


def _figures(
    name: str, strategy: Strategy, passages: Sequence[PassageVerdicts], repeats: int, seed: int
) -> RuleFigures:
    values: dict[str, list[float]] = defaultdict(list)
    for passage in passages:
        of_passage: dict[str, list[float]] = defaultdict(list)
        for order in permutations(range(repeats)):
            for figure, value in _one_order(strategy, passage, order).items():
                of_passage[figure].append(value)
        for figure, found in of_passage.items():
            values[figure].append(mean(found))
    return RuleFigures(name, **{figure: _estimate(found, seed) for figure, found in values.items()})


def _one_order(strategy: Strategy, passage: PassageVerdicts, order: Sequence[int]) -> dict[str, float]:
    """Return what a rule comes to if the repeats come in this order; the last one is `unseen` in a second race."""
    turned = PassageVerdicts(
        passage.before, tuple(tuple(one[at] for at in order) for one in passage.right), passage.characters
    )
    repeats = len(order)
    tried, whole = strategy(turned, repeats), _raced(turned, repeats, "off")
    without_last = strategy(turned, repeats - 1)
    text = sum(count * size for count, size in zip(tried.repeats, passage.characters, strict=True))
    every = repeats * passage.questions
    return {
        "trainings": sum(tried.repeats) / (repeats * len(passage.right)),
        "text": text / (repeats * sum(passage.characters)),
        "same": float(tried.kept == whole.kept),
        "lost": (sum(turned.right[whole.kept]) - sum(turned.right[tried.kept])) / every,
        "unseen": turned.right[without_last.kept][-1] / passage.questions,
    }


def _estimate(values: Sequence[float], seed: int) -> Estimate:
    rng = random.Random(seed)
    means = sorted(mean(rng.choices(values, k=len(values))) for _ in range(_RESAMPLES))
    tail = (1 - _INTERVAL) / 2
    return Estimate(mean(values), means[int(tail * _RESAMPLES)], means[int((1 - tail) * _RESAMPLES) - 1])


def _passages(path: Path) -> list[PassageVerdicts]:
    run = read_published_run(path)
    by_task: dict[str, list[PublishedCandidate]] = defaultdict(list)
    for one in run.candidates:
        by_task[one.candidate.task_id].append(one)
    found = [_passage(edits) for edits in by_task.values()]
    repeats = {len(right) for passage in found for right in passage.right}
    if len(repeats) != 1 or min(repeats) < 2:  # noqa: PLR2004
        raise WrongUseError(
            f"{path}: every self-edit needs the same number of repeats, two or more.",
            next_step="Pass a file of SEAL's E-step, such as rank_iter0.json.",
        )
    return found


def _passage(edits: Sequence[PublishedCandidate]) -> PassageVerdicts:
    def rows(one: PublishedCandidate, phase: str) -> tuple[tuple[bool, ...], ...]:
        numbers = sorted({answer.repeat for answer in one.answers})
        return tuple(
            tuple(answer.correct for answer in one.answers if (answer.repeat, answer.phase) == (number, phase))
            for number in numbers
        )

    return PassageVerdicts(
        rows(edits[0], "before"),
        tuple(tuple(map(sum, rows(one, "after"))) for one in edits),
        tuple(sum(map(len, one.candidate.sequences)) for one in edits),
    )
