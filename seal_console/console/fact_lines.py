"""Names with their values under each other, and two of them side by side, as content."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from seal_console.console.safe_content import joined, safe, safe_line
from seal_console.format import RIGHT_SIGN, WRONG_SIGN

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME_CELLS = 14
DIFFERS = "≠"


def heading(words: str) -> Content:
    """A line over a group of facts."""
    return safe_line(words, "bold $text-accent")


def fact(name: str, value: Content | str, width: int = NAME_CELLS) -> Content:
    """One name with its value."""
    return joined((f"{name:<{width}} ", "$text-muted"), value if isinstance(value, Content) else safe_line(value))


def muted(words: str) -> Content:
    """Words of less weight."""
    return safe(words, "$text-muted")


def right_or_wrong(correct: bool) -> Content:
    """A verdict by sign, word and colour."""
    if correct:
        return safe(f"{RIGHT_SIGN} right", "$text-success")
    return safe(f"{WRONG_SIGN} wrong", "$text-error")


def moment(at: str | None) -> str:
    """A time as it is shown: to the second, in UTC."""
    return at[:19].replace("T", " ") + " UTC" if at else "–"


def beside(rows: Sequence[tuple[str, str, str]], cells: int) -> list[Content]:
    """Two values for each name, in columns that fill `cells`; "≠" stands where they differ."""
    width = max(8, (cells - NAME_CELLS - 5) // 2)
    return [
        joined(
            (f"{name:<{NAME_CELLS}} ", "$text-muted"),
            (DIFFERS if first != second else " ", "$text-warning bold"),
            " ",
            _column(first, width),
            "  ",
            _column(second, width),
        )
        for name, first, second in rows
    ]


def _column(value: str, cells: int) -> Content:
    content = safe_line(value, limit=4 * cells)
    return content.truncate(cells, ellipsis=True, pad=True)
