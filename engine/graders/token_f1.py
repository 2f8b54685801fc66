"""Token F1, the second of SQuAD's two measures: the overlap of words, whatever their order.

It gives partial credit, and so also to an answer that says the opposite in the same words ("not 30 days").
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from engine.graders.interface import Grade, Options, is_number, unknown_options
from engine.graders.normalise import tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_THRESHOLD = 0.5


class TokenF1Grader:
    """The score is the best F1 over the gold answers; right from `threshold` (above 0, at most 1; default 0.5) on."""

    name = "token_f1"

    def check_options(self, options: Options) -> list[str]:
        """Only `threshold`, a number above 0 and at most 1."""
        problems = unknown_options(options, ("threshold",))
        threshold = options.get("threshold", DEFAULT_THRESHOLD)
        if not is_number(threshold) or not 0 < threshold <= 1:
            problems.append(f"threshold must be a number above 0 and at most 1 (is {threshold!r})")
        return problems

    def grade(self, answer: str, gold: Sequence[str], options: Options) -> Grade:
        """Grade by the overlap of words."""
        given = tokens(answer)
        score = max((_f1(given, tokens(accepted)) for accepted in gold), default=0.0)
        return Grade(score, correct=score >= options.get("threshold", DEFAULT_THRESHOLD))


def _f1(given: list[str], wanted: list[str]) -> float:
    shared = (Counter(given) & Counter(wanted)).total()
    return 2 * shared / (len(given) + len(wanted)) if shared else 0.0
