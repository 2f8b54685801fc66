"""The majority's answer to each question, as a vote would take it. Pure; it looks at no gold answer."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from engine.graders.normalise import comparable

if TYPE_CHECKING:
    from collections.abc import Iterable


def majority_answers(given: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return by question its commonest answer, from (question, answer), in the form in which exams compare texts."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for question, text in given:
        counts[question][comparable(text)] += 1
    return {question: commonest(found) for question, found in counts.items()}


def commonest(counts: Counter[str]) -> str:
    """Return the commonest text, of equally common ones the first in the alphabet. Raises ValueError for none."""
    return min(counts, key=lambda text: (-counts[text], text))
