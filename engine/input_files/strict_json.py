"""JSON without the laxness of Python's reader: no NaN, no key twice, no endless nesting; errors carry a line.

It refuses some JSON that others accept (a key twice). It does not locate values: only syntax errors have lines.
"""

from __future__ import annotations

import json
from typing import NoReturn


class JsonProblemError(ValueError):
    """The text is not acceptable JSON; `line` counts from 1, None where unknown."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


def parse_strict_json(text: str) -> object:
    """Parse one JSON value; raises JsonProblemError."""
    try:
        return json.loads(text, object_pairs_hook=_without_doubles, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise JsonProblemError(f"not valid JSON: {error.msg} (column {error.colno})", error.lineno) from error
    except RecursionError as error:
        raise JsonProblemError("not valid JSON: nested too deep") from error
    except JsonProblemError:
        raise
    except ValueError as error:
        raise JsonProblemError(f"not valid JSON: {error}") from error


def _without_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise JsonProblemError(f"key '{key}' is there twice")
        found[key] = value
    return found


def _no_constant(name: str) -> NoReturn:
    raise JsonProblemError(f"{name} is no JSON value")
