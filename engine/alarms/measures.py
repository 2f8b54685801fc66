"""Measures of a finished round: figures for each task, and their means over the tasks. Pure functions of texts.

Accuracies, shares and gains are 0 … 1 (gains −1 … 1). A figure is None, or lacks a task, if there was nothing to
measure it by. The figures say what changed; why it did is for a person to find out. Words are runs of letters and
digits in lower case; a text in a script without spaces is one long word.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field, fields
from itertools import combinations
from statistics import mean, median
from typing import TYPE_CHECKING, Any, TypeVar

from engine.graders.text_form import comparable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ByTask = dict[str, float]
Value = TypeVar("Value")
_WORD = re.compile(r"\w+")
PAIR, COPIED = 2, 4  # words of an n-gram: for diversity and likeness, and for copies


@dataclass(frozen=True, slots=True)
class SelfEditSample:
    """One self-edit of a round, the prompt it was written for (which contains the context), and its gains."""

    task: str
    prompt: str
    completion: str
    reward: float | None = None
    audit_gain: float | None = None


@dataclass(frozen=True, slots=True)
class AnswerSample:
    """One answer to a question after an inner update. `expected` is the first of the accepted answers."""

    task: str
    question: str
    expected: str
    text: str
    correct: bool
    is_audit: bool


@dataclass(frozen=True, slots=True)
class Measures:
    """All figures of one round; figures by task have the task's id as key.

    `one_answer` is the share of the `questions` whose majority answer is the round's commonest, `one_expected` the same
    share for the expected answers.
    """

    round_number: int
    conditions: str
    distinct: float | None = None
    commonest: str = ""
    one_answer: float | None = None
    one_expected: float | None = None
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
        """Return one figure of each kind: the mean over the tasks, for lengths the median."""
        found: dict[str, float | None] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, dict):
                found[one.name] = (median if one.name == "length" else mean)(value.values()) if value else None
            elif one.name in {"distinct", "one_answer", "one_expected"}:
                found[one.name] = value
        return found

    def as_json(self) -> dict[str, Any]:
        """Return all figures as JSON data."""
        return asdict(self)


def measure(
    round_number: int,
    conditions: str,
    self_edits: Sequence[SelfEditSample],
    answers: Sequence[AnswerSample],
    held_out: Iterable[tuple[str, bool]],
) -> Measures:
    """Measure a round by its train candidates and their answers; `held_out` has task and verdict of each answer."""
    texts = _by_task((one.task, one.completion) for one in self_edits)
    likeness = {task: mean_likeness(of_task) for task, of_task in texts.items()}
    echo = ((one.task, copied_share(one.completion, one.prompt)) for one in self_edits)
    majority = majority_answers((one.question, one.text) for one in answers)
    one_answer, share = _share_of_commonest(majority.values())
    expected = {one.question: comparable(one.expected) for one in answers}
    return Measures(
        round_number,
        conditions,
        distinct=distinct_share([one.completion for one in self_edits]),
        commonest=one_answer,
        one_answer=share,
        one_expected=_share_of_commonest(expected.values())[1],
        questions=len(majority),
        likeness={task: value for task, value in likeness.items() if value is not None},
        echo=_means(echo),
        length={task: float(median(len(words(text)) for text in of_task)) for task, of_task in texts.items()},
        agreement=_means((one.task, float(comparable(one.text) == majority[one.question])) for one in answers),
        audit=_means((one.task, float(one.correct)) for one in answers if one.is_audit),
        held_out=_means((task, float(right)) for task, right in held_out),
        reward=_means((one.task, one.reward) for one in self_edits),
        audit_gain=_means((one.task, one.audit_gain) for one in self_edits),
    )


def _by_task(pairs: Iterable[tuple[str, Value]]) -> dict[str, list[Value]]:
    found: dict[str, list[Value]] = defaultdict(list)
    for task, value in pairs:
        found[task].append(value)
    return found


def _means(pairs: Iterable[tuple[str, float | None]]) -> ByTask:
    known = _by_task((task, value) for task, value in pairs if value is not None)
    return {task: mean(values) for task, values in known.items()}


def _share_of_commonest(texts: Iterable[str]) -> tuple[str, float | None]:
    counts = Counter(texts)
    if not counts:
        return "", None
    text = commonest(counts)
    return text, counts[text] / counts.total()


def majority_answers(answers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return each question's commonest answer, given (question, answer) pairs, in the form that exams compare."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for question, text in answers:
        counts[question][comparable(text)] += 1
    return {question: commonest(found) for question, found in counts.items()}


def commonest(counts: Counter[str]) -> str:
    """Return the commonest text, or the alphabetically first of several; raises ValueError if there is none."""
    return min(counts, key=lambda text: (-counts[text], text))


def words(text: str) -> list[str]:
    """Return the words of a text in order."""
    return _WORD.findall(text.lower())


def distinct_share(texts: Sequence[str]) -> float | None:
    """Return the share of different word pairs among all pairs of all texts (Li et al. 2016, "distinct-2"), 0 … 1.

    None if no text has a pair. One text repeated often tends to 0, even if each copy is varied in itself.
    """
    found = [pair for text in texts for pair in _ngrams(text, PAIR)]
    return len(set(found)) / len(found) if found else None


def likeness(first: str, second: str) -> float:
    """Return the share of word pairs that two texts have in common (Jaccard), 0 … 1; 1 for equal words."""
    if words(first) == words(second):
        return 1.0
    one, other = set(_ngrams(first, PAIR)), set(_ngrams(second, PAIR))
    return len(one & other) / len(one | other) if one | other else 0.0


def mean_likeness(texts: Sequence[str]) -> float | None:
    """Return the mean likeness over all pairs of texts; None if there is no pair."""
    pairs = list(combinations(texts, 2))
    return mean(likeness(one, other) for one, other in pairs) if pairs else None


def copied_share(text: str, prompt: str) -> float | None:
    """Return the share of a text's runs of four words that are in its prompt too, 0 … 1; None for a shorter text."""
    runs = _ngrams(text, COPIED)
    in_prompt = set(_ngrams(prompt, COPIED))
    return sum(run in in_prompt for run in runs) / len(runs) if runs else None


def _ngrams(text: str, size: int) -> list[tuple[str, ...]]:
    found = words(text)
    return [tuple(found[start : start + size]) for start in range(len(found) - size + 1)]
