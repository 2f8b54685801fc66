"""Parses JSON and JSON Lines more strictly than Python does: no NaN, no repeated keys, no endless nesting.

Syntax errors have a line. The values of one JSON text do not.
"""

from __future__ import annotations

import json
from typing import NoReturn


class JsonProblemError(ValueError):
    """The text is not acceptable JSON; `line` counts from 1, None if it is unknown."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


def parse_strict_json(text: str) -> object:
    """Parse one JSON value; raises JsonProblemError."""
    try:
        return json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise JsonProblemError(f"not valid JSON: {error.msg} (column {error.colno})", error.lineno) from error
    except RecursionError as error:
        raise JsonProblemError("not valid JSON: nested too deep") from error
    except JsonProblemError:
        raise
    except ValueError as error:
        raise JsonProblemError(f"not valid JSON: {error}") from error


def parse_json_lines(text: str, file: str) -> tuple[list[tuple[int, object]], list[str]]:
    """Return each line's value with its number, counted from 1, and the problems of other lines; skips empty ones."""
    found: list[tuple[int, object]] = []
    problems: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            found.append((number, parse_strict_json(line)))
        except JsonProblemError as error:
            problems.append(f"{file}:{number}: {error.message}")
    return found, problems


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise JsonProblemError(f"the key '{key}' appears twice")
        found[key] = value
    return found


def _no_constant(name: str) -> NoReturn:
    raise JsonProblemError(f"{name} is not a JSON value")


def is_unicode(text: str) -> bool:
    """Tell whether a text can be encoded: JSON escapes can hold half a surrogate pair."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
