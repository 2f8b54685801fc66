"""Reads the options of one rule of guardrails.yaml; each problem is noted with its line and replaced by a default."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

from engine.tasks.drafts import kind_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.input_files.located_yaml import Path as KeyPath
    from engine.tasks.drafts import SourceReader

Name = TypeVar("Name", bound=str)
_LARGEST_COUNT = 10_000_000


@dataclass(frozen=True, slots=True)
class SectionReader:
    """One section: its value, the same with every scalar as written, and where its problems are noted."""

    reader: SourceReader
    values: Any
    written: Any
    path: KeyPath


@dataclass(frozen=True, slots=True)
class OptionReader:
    """The keys of one mapping: as YAML values, and as they are written; `path` is where the mapping stands."""

    reader: SourceReader
    values: dict[str, Any]
    written: dict[str, Any]
    path: KeyPath

    def report(self, message: str, *below: str | int) -> None:
        """Note a problem with a key, or with the mapping itself."""
        self.reader.report((*self.path, *below), message)

    def text(self, key: str, default: str) -> str:
        """Return a text."""
        return self.reader.text(self.written[key], (*self.path, key)) if key in self.written else default

    def texts(self, key: str, default: Sequence[str] = ()) -> tuple[str, ...]:
        """Return a list of texts, none of them empty; a single text is a list of one."""
        if key not in self.written:
            return tuple(default)
        given = self.written[key]
        if not isinstance(given, list):
            given, places = [given], [(key,)]
        else:
            places = [(key, number) for number in range(len(given))]  # type: ignore[misc]
        if not given:
            self.report(f"{key} must be a text, or a list of texts", key)
        texts = [self.reader.text(one, (*self.path, *place)) for one, place in zip(given, places, strict=True)]
        for one, place in zip(given, places, strict=True):
            if isinstance(one, str) and not one.strip():
                self.report(f"a text of {key} is empty", *place)
        return tuple(dict.fromkeys(text for text in texts if text.strip()))

    def names(self, key: str, known: Sequence[Name], default: Sequence[Name]) -> tuple[Name, ...]:
        """Return names out of those that are known, in their order."""
        given = self.texts(key, default)
        for one in given:
            self._is_known(one, known, key)
        return tuple(name for name in known if name in given)

    def name(self, key: str, known: Sequence[Name], default: Name) -> Name:
        """Return one of the names that are known."""
        given = self.text(key, default)
        if given and not self._is_known(given, known, key):
            return default
        return next((name for name in known if name == given), default)

    def count(self, key: str, default: int | None = None, *, least: int = 0) -> int | None:
        """Return a whole number; an empty value is the default."""
        value = self.values.get(key)
        if value is None:
            return default
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= _LARGEST_COUNT:
            return value
        self.report(f"{key} must be a whole number from {least} on (is {_shown(value)})", key)
        return default

    def number(self, key: str, default: float | None, *, most: float, what: str) -> float | None:
        """Return a number from 0 to `most`; an empty value is the default."""
        value = self.values.get(key)
        if value is None:
            return default
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most:
            return float(value)
        self.report(f"{key} must be {what} (is {_shown(value)})", key)
        return default

    def switch(self, key: str, *, default: bool) -> bool:
        """Return true or false; an empty value is the default."""
        value = self.values.get(key)
        if value is None:
            return default
        if isinstance(value, bool):
            return value
        self.report(f"{key} must be true or false (is {_shown(value)})", key)
        return default

    def _is_known(self, given: str, known: Sequence[str], key: str) -> bool:
        if given in known:
            return True
        nearest = get_close_matches(given, known, n=1, cutoff=0.5)
        hint = f"did you mean '{nearest[0]}'?" if nearest else f"known are {', '.join(known)}"
        self.report(f"{key}: unknown name {given!r}; {hint}", key)
        return False


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, str | int | float) else kind_of(value)
