"""Measures as a page: figures one a line, and a table where several things were measured alike."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from seal_console.format import facts, show_text, table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

    from seal_console.cli.output import Output


def show_measures(output: Output, measures: Mapping[str, Any]) -> None:
    """Show a result of the engine: what is nested becomes a table, the rest stands above it."""
    simple = {name: value for name, value in measures.items() if not _is_nested(value)}
    if simple:
        output.show(facts((_words(name), _figure(value)) for name, value in simple.items()))
    for name, value in measures.items():
        if _is_nested(value):
            output.show(show_text(f"\n{_words(name)}", "bold"), _nested(value))


def _is_nested(value: Any) -> bool:
    parts = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return isinstance(value, dict) or any(isinstance(part, (dict, list)) for part in parts)


def _nested(value: Any) -> RenderableType:
    rows: dict[str, Any] = value if isinstance(value, dict) else {str(i + 1): row for i, row in enumerate(value)}
    if not all(isinstance(row, dict) for row in rows.values()):
        return facts((_words(name), _figure(row)) for name, row in rows.items())
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    headers = ("", *(_words(column) for column in columns))
    cells = [(_words(name), *(_figure(row.get(column)) for column in columns)) for name, row in rows.items()]
    return table(headers, cells, right=headers[1:])


def _words(name: str) -> str:
    return name.replace("_", " ")


def _figure(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"  # noqa: PLR2004 - where decimals stop to matter
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value)
