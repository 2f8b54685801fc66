"""The interface of graders. A plug-in offers one as an entry point of the group "seal_console.graders".

A grader sees one answer at a time and keeps nothing between answers. The registry, not the grader, guarantees that an
empty answer scores zero and that a failure is an error that names the question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

Options = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Grade:
    """A verdict on one answer: a score from 0 to 1, and whether that counts as correct."""

    score: float
    correct: bool


ZERO = Grade(0.0, correct=False)
FULL = Grade(1.0, correct=True)


@runtime_checkable
class Grader(Protocol):
    """Decides how correct an answer is."""

    @property
    def name(self) -> str:
        """The name that questions use."""
        ...

    def check_options(self, options: Options) -> list[str]:
        """Return each problem with a question's options, in words; empty if there is none."""
        ...

    def grade(self, answer: str, accepted: Sequence[str], options: Options) -> Grade:
        """Grade an answer against all accepted answers; the best of them counts."""
        ...


def unknown_options(options: Options, known: Sequence[str]) -> list[str]:
    """Return a problem for each option that a grader does not have."""
    hint = f"options: {', '.join(known)}" if known else "it has no options"
    return [f"unknown option '{key}'; {hint}" for key in options if key not in known]


def is_number(value: object) -> bool:
    """Tell whether an option's value is a finite number (true and false are not)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")
