"""What is measured of a finished round: figures by task, and their means over the tasks. Pure: texts and answers in.

Accuracies, shares and gains are 0 … 1 (gains −1 … 1). A figure is None, or its task left out, where nothing was there
to measure it by. They say what changed; why it did is for a person to find out.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field, fields
from statistics import mean, median
from typing import TYPE_CHECKING, Any, TypeVar

from engine.alarms.texts import copied_share, distinct_share, mean_likeness, words
from engine.graders.normalise import comparable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ByTask = dict[str, float]
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class SelfEditSample:
    """One self-edit of a round, with the prompt that it answers (the document is part of it), and what it gained."""

    task: str
    prompt: str
    completion: str
    reward: float | None = None
    audit_gain: float | None = None


@dataclass(frozen=True, slots=True)
class AnswerSample:
    """One answer to a question after an inner update. `gold` is the first of the accepted answers."""

    task: str
    question: str
    gold: str
    text: str
    correct: bool
    is_audit: bool


@dataclass(frozen=True, slots=True)
class Measures:
    """All figures of one round; those by task have the task's id as key.

    `one_answer` is the share of questions whose commonest answer is the commonest of the round, `one_gold` the same
    share of the gold answers; `questions` is how many there are.
    """

    round_number: int
    conditions: str
    distinct: float | None = None
    commonest: str = ""
    one_answer: float | None = None
    one_gold: float | None = None
    questions: int = 0
    likeness: ByTask = field(default_factory=dict)
    echo: ByTask = field(default_factory=dict)
    length: ByTask = field(default_factory=dict)
    agreement: ByTask = field(default_factory=dict)
    audit: ByTask = field(default_factory=dict)
    held_out: ByTask = field(default_factory=dict)
    reward: ByTask = field(default_factory=dict)
    audit_gain: ByTask = field(default_factory=dict)

    def means(self) -> dict[str, float | None]:
        """Return one figure of each kind: figures by task as their mean, lengths as the median of the tasks."""
        found: dict[str, float | None] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, dict):
                found[one.name] = (median if one.name == "length" else mean)(value.values()) if value else None
            elif one.name in {"distinct", "one_answer", "one_gold"}:
                found[one.name] = value
        return found

    def as_json(self) -> dict[str, Any]:
        """Return all of it as JSON can carry it."""
        return asdict(self)


def measure(
    round_number: int,
    conditions: str,
    written: Sequence[SelfEditSample],
    given: Sequence[AnswerSample],
    held_out: Iterable[tuple[str, bool]],
) -> Measures:
    """Measure a round: what its train candidates say; `held_out` has task and verdict of each answer."""
    texts = _by_task((one.task, one.completion) for one in written)
    likeness = {task: mean_likeness(of_task) for task, of_task in texts.items()}
    echo = ((one.task, copied_share(one.completion, one.prompt)) for one in written)
    majority = majority_answers((one.question, one.text) for one in given)
    one_answer, share = _share_of_commonest(majority.values())
    gold = {one.question: comparable(one.gold) for one in given}
    return Measures(
        round_number,
        conditions,
        distinct=distinct_share([one.completion for one in written]),
        commonest=one_answer,
        one_answer=share,
        one_gold=_share_of_commonest(gold.values())[1],
        questions=len(majority),
        likeness={task: value for task, value in likeness.items() if value is not None},
        echo=_means(echo),
        length={task: float(median(len(words(text)) for text in of_task)) for task, of_task in texts.items()},
        agreement=_agreement(given, majority),
        audit=_means((one.task, float(one.correct)) for one in given if one.is_audit),
        held_out=_means((task, float(right)) for task, right in held_out),
        reward=_means((one.task, one.reward) for one in written),
        audit_gain=_means((one.task, one.audit_gain) for one in written),
    )


def _by_task(pairs: Iterable[tuple[str, Value]]) -> dict[str, list[Value]]:
    found: dict[str, list[Value]] = defaultdict(list)
    for task, value in pairs:
        found[task].append(value)
    return found


def _means(pairs: Iterable[tuple[str, float | None]]) -> ByTask:
    known = _by_task((task, value) for task, value in pairs if value is not None)
    return {task: mean(values) for task, values in known.items()}


def _agreement(given: Iterable[AnswerSample], majority: Mapping[str, str]) -> ByTask:
    """Return by task the share of answers that are their question's commonest."""
    return _means((one.task, float(comparable(one.text) == majority[one.question])) for one in given)


def _share_of_commonest(texts: Iterable[str]) -> tuple[str, float | None]:
    counts = Counter(texts)
    if not counts:
        return "", None
    text = commonest(counts)
    return text, counts[text] / counts.total()


def majority_answers(given: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return by question its commonest answer, from (question, answer), in the form in which exams compare texts."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for question, text in given:
        counts[question][comparable(text)] += 1
    return {question: commonest(found) for question, found in counts.items()}


def commonest(counts: Counter[str]) -> str:
    """Return the commonest text, of equally common ones the first in the alphabet. Raises ValueError for none."""
    return min(counts, key=lambda text: (-counts[text], text))
