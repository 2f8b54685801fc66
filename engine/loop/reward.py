"""The reward of a self-edit: how much better the updated model answers than the untouched one.

Pure functions of correct and incorrect answers. Everything is counted in fractions and converted to floats at the end,
so a gain of zero is exactly zero. It says nothing about questions that were not asked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from store.records import Answer

Verdicts = Sequence[bool]


@dataclass(frozen=True, slots=True)
class Spread:
    """The mean of measurements and their sample standard deviation, 0 if there is only one."""

    mean: float
    std: float


@dataclass(frozen=True, slots=True)
class Reward:
    """The measured reward of one self-edit. Accuracies are 0 … 1, gains and their mean −1 … 1, one entry per repeat.

    Each gain is relative to the mean accuracy of the untouched model, which is the same for all repeats.
    """

    accuracy_before: float
    accuracy_after_per_repeat: tuple[float, ...]
    gain_per_repeat: tuple[float, ...]
    mean: float
    std: float


def measure_reward(before: Sequence[Verdicts], after: Sequence[Verdicts]) -> Reward:
    """Return the reward from verdicts: one row per repeat, one verdict per question in a row.

    `before` is the untouched model, usually a single row. Raises ValueError if the rows are empty or of unequal length.
    """
    widths = {len(row) for row in (*before, *after)}
    if not before or not after or len(widths) != 1 or widths == {0}:
        raise ValueError("a reward needs verdicts before and after on the same questions, at least one")
    base = _mean([_share(row) for row in before])
    accuracies = [_share(row) for row in after]
    gains = [accuracy - base for accuracy in accuracies]
    spread = _spread(gains)
    return Reward(float(base), tuple(map(float, accuracies)), tuple(map(float, gains)), spread.mean, spread.std)


def reward_of_answers(before: Iterable[Answer], after: Iterable[Answer], question_ids: Collection[str]) -> Reward:
    """Return the reward on some questions, such as those of one split, from answers that may cover more.

    Raises ValueError if a question has no answer in a repeat, or two.
    """
    return measure_reward(verdict_rows(before, question_ids), verdict_rows(after, question_ids))


def verdict_rows(answers: Iterable[Answer], question_ids: Collection[str]) -> list[list[bool]]:
    """Return verdicts by repeat, each row in the order of the questions; raises ValueError if one is missing or
    duplicated.
    """
    by_repeat: dict[int, dict[str, bool]] = defaultdict(dict)
    for answer in answers:
        if answer.question_id not in question_ids:
            continue
        if answer.question_id in by_repeat[answer.repeat]:
            raise ValueError(f"question {answer.question_id} has two answers in repeat {answer.repeat}")
        by_repeat[answer.repeat][answer.question_id] = answer.correct
    for repeat, verdicts in by_repeat.items():
        missing = [question_id for question_id in question_ids if question_id not in verdicts]
        if missing:
            raise ValueError(f"question {missing[0]} has no answer in repeat {repeat}")
    return [[verdicts[question_id] for question_id in question_ids] for _, verdicts in sorted(by_repeat.items())]


def accuracy(verdicts: Verdicts) -> float:
    """Return the share of correct answers; raises ValueError if there are none."""
    return float(_share(verdicts))


def mean_and_spread(values: Sequence[float]) -> Spread:
    """Return mean and sample standard deviation; raises ValueError if there are no values."""
    return _spread([Fraction(value) for value in values])


def _share(verdicts: Verdicts) -> Fraction:
    if not verdicts:
        raise ValueError("an accuracy needs answers")
    return Fraction(sum(verdicts), len(verdicts))


def _mean(values: Sequence[Fraction]) -> Fraction:
    if not values:
        raise ValueError("a mean needs values")
    return sum(values, Fraction()) / len(values)


def _spread(values: Sequence[Fraction]) -> Spread:
    mean = _mean(values)
    squares = sum(((value - mean) ** 2 for value in values), Fraction())
    return Spread(float(mean), sqrt(squares / (len(values) - 1)) if len(values) > 1 else 0.0)
