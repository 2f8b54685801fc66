"""Containment: a gold answer stands, as whole words in a row, somewhere in the answer.

Lenient towards long answers: one that lists every possible value is right too. Keep answers short where that matters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.graders.interface import FULL, ZERO, Grade, Options, unknown_options
from engine.graders.normalise import tokens

if TYPE_CHECKING:
    from collections.abc import Sequence


class ContainsGrader:
    """Right where the words of a gold answer follow each other in the answer. No options."""

    name = "contains"

    def check_options(self, options: Options) -> list[str]:
        """Refuse every option."""
        return unknown_options(options, ())

    def grade(self, answer: str, gold: Sequence[str], options: Options) -> Grade:  # noqa: ARG002 - has none
        """Grade by containment."""
        given = tokens(answer)
        return FULL if any(_holds(given, tokens(accepted)) for accepted in gold) else ZERO


def _holds(words: list[str], wanted: list[str]) -> bool:
    width = len(wanted)
    return width > 0 and any(words[start : start + width] == wanted for start in range(len(words) - width + 1))
