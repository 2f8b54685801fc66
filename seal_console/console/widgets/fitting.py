"""Fits a text of any origin into the cells of a table's column."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.segment import Segment
from textual.strip import Strip

from store.sanitize import sanitize_line

if TYPE_CHECKING:
    from rich.style import Style


def fitted(text: str, cells: int, style: Style, *, right: bool) -> list[Segment]:
    """The text on exactly so many cells, padded, or cut with “…”; nothing in it can move the cursor."""
    if text.isascii() and text.isprintable():  # nearly all are, and then a character is a cell: no need to measure it
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
