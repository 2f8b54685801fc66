"""Phrases that messages share: counts with their noun, values in words, the nearest known name for an unknown one."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST_LISTED, _FEW_LISTED = 40, 5


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return "1 task" or "2 tasks"; `many` is the plural if it is not formed with an s."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def value_in_words(value: object) -> str:
    """Return a value of a record for reading: no braces, brackets or None."""
    if value is None or value in ("", [], (), {}):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{str(name).replace('_', ' ')} {value_in_words(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(value_in_words, value))
    return str(value)


def nearest_name(unknown: str, known: Iterable[str]) -> str | None:
    """Return the known name that an unknown one was probably meant to be, or None if none is close."""
    return next(iter(get_close_matches(unknown, list(known), n=1, cutoff=0.5)), None)


def suggestion(unknown: str, known: Iterable[str]) -> str:
    """Return "did you mean 'x'?", or the known names if none is close: the nearest few if there are many."""
    names = list(known)
    nearest = nearest_name(unknown, names)
    if nearest:
        return f"did you mean '{nearest}'?"
    if len(names) > _MOST_LISTED:
        few = get_close_matches(unknown, names, n=_FEW_LISTED, cutoff=0.0)
        return f"{len(names)} are known, such as {', '.join(few)}"
    return f"known: {', '.join(names)}"
