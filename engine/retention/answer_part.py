"""Which part of what the model wrote is its answer: up to a text that ends it, and what a pattern finds in that.

It mirrors the stop texts and the `regex` filter of lm-evaluation-harness. The library `regex` stops a search that takes
too long; such an answer is an error that names the pattern, never a wrong answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import regex

from store.errors import WrongUseError

_SEARCH_S = 2.0


@dataclass(frozen=True, slots=True)
class AnswerPart:
    """`until` holds the texts that end an answer; of what `pattern` finds, the find at `find` counts (−1: the last)."""

    until: tuple[str, ...] = ()
    pattern: str = ""
    find: int = 0


def answer_in(text: str, part: AnswerPart) -> str:
    """Return the answer in a text, empty where the pattern finds none; raises WrongUseError for a search too long."""
    for end in part.until:
        text = text.split(end, 1)[0]
    return _found(text, part).strip() if part.pattern else text.strip()


def pattern_problem(pattern: str) -> str | None:
    """Say why a pattern cannot be used, None where it can."""
    try:
        regex.compile(pattern)
    except (regex.error, RecursionError, OverflowError, ValueError) as error:
        return f"no regular expression: {error}"
    return None


def _found(text: str, part: AnswerPart) -> str:
    try:
        finds = regex.findall(part.pattern, text, timeout=_SEARCH_S)
    except TimeoutError as error:
        raise WrongUseError(
            f"the pattern {part.pattern!r} takes too long to search an answer",
            next_step="Write a simpler regex_pattern in the task file.",
        ) from error
    if not -len(finds) <= part.find < len(finds):
        return ""
    found = finds[part.find]
    return next(filter(None, found), "") if isinstance(found, tuple) else str(found)
