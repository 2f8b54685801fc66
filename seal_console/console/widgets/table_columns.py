"""Columns and cells of a table: how wide each column is, and how a text of any origin fits into its cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rich.segment import Segment
from textual.strip import Strip

from store.sanitize import sanitize_line

if TYPE_CHECKING:
    from rich.style import Style

Tone = Literal["", "good", "bad", "warn", "dim", "accent"]
GUTTER = 2
GAP = 2


@dataclass(frozen=True, slots=True)
class Column:
    """A column: `width` in cells, or 0 for a share of the remaining space of at least `least` cells.

    If there is no room, optional columns go: the highest number first, then from the right.
    """

    name: str
    width: int = 0
    right: bool = False
    sort: str | None = None
    optional: int = 0
    least: int = 12


@dataclass(frozen=True, slots=True)
class Cell:
    """Text of any origin, and its tone; the tone is never the only sign of a meaning."""

    text: str
    tone: Tone = ""


Row = Sequence[Cell | str]


def share_width(columns: Sequence[Column], width: int) -> list[int]:
    """Widths of the columns in cells; 0 for one that is left out. Optional columns go first, from the right."""
    kept = list(range(len(columns)))

    def needed() -> int:
        return GUTTER + sum((columns[one].width or columns[one].least) + GAP for one in kept)

    for one in sorted(kept, key=lambda one: (-columns[one].optional, -one)):
        if needed() > width and columns[one].optional:
            kept.remove(one)
    flexible = [one for one in kept if columns[one].width == 0]
    spare = max(0, width - needed())
    widths = [0] * len(columns)
    for one in kept:
        widths[one] = columns[one].width or columns[one].least
    for place, one in enumerate(flexible):
        widths[one] += spare // len(flexible) + (1 if place < spare % len(flexible) else 0)
    return widths


def fit_text(text: str, cells: int, style: Style, *, right: bool) -> list[Segment]:
    """Return the text in exactly `cells` cells, padded or cut with “…”; it cannot move the cursor."""
    if text.isascii() and text.isprintable():  # nearly all are; then each character is one cell
        shown = (
            [Segment(text, style)] if len(text) <= cells else [Segment(text[: cells - 1], style), Segment("…", style)]
        )
        padding = Segment(" " * (cells - len(text)), style)
    else:
        strip = Strip([Segment(sanitize_line(text, 4 * cells + 8), style)])
        if strip.cell_length > cells:
            strip = Strip([*strip.crop(0, cells - 1), Segment("…", style)])
        shown, padding = list(strip), Segment(" " * (cells - strip.cell_length), style)
    return [padding, *shown] if right else [*shown, padding]
