"""Text from models, documents, data and git as Textual content: never markup, never a control character.

Everything that a widget of this console shows and that this program did not write itself passes through here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from seal_console.format import RIGHT_SIGN, WRONG_SIGN
from store.sanitize import sanitize, sanitize_line

if TYPE_CHECKING:
    from collections.abc import Sequence


Piece = str | tuple[str, str] | Content


def safe(text: str, style: str = "") -> Content:
    """Return text of any origin as content; lines stay lines."""
    return Content.styled(sanitize(text), style) if style else Content(sanitize(text))


def safe_line(text: str, style: str = "", limit: int | None = None) -> Content:
    """Return text of any origin as content on one line, cut with "…" at a limit in characters."""
    line = sanitize_line(text, limit)
    return Content.styled(line, style) if style else Content(line)


def assemble(*pieces: Piece) -> Content:
    """Join pieces; strings and (string, style) pairs are sanitized."""
    parts = [
        piece if isinstance(piece, Content) else safe(piece) if isinstance(piece, str) else safe(*piece)
        for piece in pieces
    ]
    return Content("").join(parts)


def lines(*rows: Content | str) -> Content:
    """Join rows with line breaks."""
    return Content("\n").join([row if isinstance(row, Content) else safe(row) for row in rows])


NAME_CELLS = 14
DIFFERS = "≠"


def heading(words: str) -> Content:
    """A line over a group of facts."""
    return safe_line(words, "bold $text-accent")


def fact(name: str, value: Content | str, width: int = NAME_CELLS) -> Content:
    """One name with its value."""
    return assemble((f"{name:<{width}} ", "$text-muted"), value if isinstance(value, Content) else safe_line(value))


def muted(words: str) -> Content:
    """Return text in the muted style."""
    return safe(words, "$text-muted")


def right_or_wrong(correct: bool) -> Content:
    """A verdict by sign, word and colour."""
    if correct:
        return safe(f"{RIGHT_SIGN} right", "$text-success")
    return safe(f"{WRONG_SIGN} wrong", "$text-error")


def format_time(at: str | None) -> str:
    """A time as it is shown: to the second, in UTC."""
    return at[:19].replace("T", " ") + " UTC" if at else "–"


def side_by_side(rows: Sequence[tuple[str, str, str]], cells: int) -> list[Content]:
    """Return two values for each name, in columns that fill `cells`; "≠" marks differences."""
    width = max(8, (cells - NAME_CELLS - 5) // 2)
    return [
        assemble(
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


_LEVELS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int) -> str:
    """Draw values as blocks, at most `width` of them; each block is the mean of its share of the values."""
    if not values or width < 1:
        return ""
    count = min(width, len(values))
    means = []
    for place in range(count):
        first, last = place * len(values) // count, (place + 1) * len(values) // count
        part = values[first:last]
        means.append(sum(part) / len(part))
    low, high = min(means), max(means)
    span = (high - low) or 1.0
    return "".join(_LEVELS[round((len(_LEVELS) - 1) * (mean - low) / span)] for mean in means)


def share_bar(share: float, width: int) -> str:
    """Draw a share (0 … 1) as a bar."""
    filled = round(width * min(max(share, 0.0), 1.0))
    return "█" * filled + "░" * (width - filled)


def format_duration(seconds: float) -> str:
    """Return a duration in words: 45 s, 3 min, 2 h 5 min."""
    whole = round(seconds)
    if whole < 90:  # noqa: PLR2004 - below, seconds say more than minutes
        return f"{whole} s"
    minutes = round(whole / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"  # noqa: PLR2004
