"""Exact match after normalisation, the first of SQuAD's two measures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.graders.interface import FULL, ZERO, Grade, Options, unknown_options
from engine.graders.normalise import comparable

if TYPE_CHECKING:
    from collections.abc import Sequence


class ExactGrader:
    """Right where the normalised answer equals a normalised gold answer. No options."""

    name = "exact"

    def check_options(self, options: Options) -> list[str]:
        """Refuse every option."""
        return unknown_options(options, ())

    def grade(self, answer: str, gold: Sequence[str], options: Options) -> Grade:  # noqa: ARG002 - has none
        """Grade by equality."""
        given = comparable(answer)
        return FULL if given and any(given == comparable(accepted) for accepted in gold) else ZERO
