"""Phrases that messages share: counts with their noun, and the nearest known name for an unknown one."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return "1 task" or "2 tasks"; `many` is the plural if it is not formed with an s."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def nearest_name(unknown: str, known: Iterable[str]) -> str | None:
    """Return the known name that an unknown one was probably meant to be, or None if none is close."""
    return next(iter(get_close_matches(unknown, list(known), n=1, cutoff=0.5)), None)


def suggestion(unknown: str, known: Iterable[str]) -> str:
    """Return "did you mean 'x'?", or the list of known names if none is close."""
    names = list(known)
    nearest = nearest_name(unknown, names)
    return f"did you mean '{nearest}'?" if nearest else f"known: {', '.join(names)}"
