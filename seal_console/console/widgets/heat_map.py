"""A matrix of shares as a heat map with a cursor: how much each row still knows of each column, by figure, sign and
colour.

The headings stay visible while the cells scroll. Only visible cells are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.geometry import Offset, Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from seal_console.console.runtime import ErrorBoundary
from store.sanitize import sanitize_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.style import Style
    from textual import events

_HEADING = 7  # cells for the name of a row
_CELL = 6  # and for one share
_HIGH, _MIDDLE = 0.95, 0.5
FALLEN = "▾"

Share = float | None


class HeatMap(ErrorBoundary, ScrollView, can_focus=True):
    """Named rows and columns; `put` sets the shares, 0 … 1, None if not measured."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "heat--heading", "heat--here", "heat--high", "heat--middle", "heat--low", "heat--unknown", "heat--cursor",
    }  # fmt: skip
    DEFAULT_CSS = """
    HeatMap { background: $surface; color: $foreground; }
    HeatMap .heat--heading { color: $text-muted; background: $panel; }
    HeatMap .heat--here { color: $text-accent; background: $panel; text-style: bold; }
    HeatMap .heat--high { color: $text-success; background: $success-muted; }
    HeatMap .heat--middle { color: $text-warning; background: $warning-muted; }
    HeatMap .heat--low { color: $text-error; background: $error-muted; }
    HeatMap .heat--unknown { color: $text-muted; }
    HeatMap .heat--cursor {
        background: $block-cursor-background; color: $block-cursor-foreground; text-style: bold;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1, 0)", "Down", show=False, id="heat.down"),
        Binding("up,k", "move(-1, 0)", "Up", show=False, id="heat.up"),
        Binding("right,l", "move(0, 1)", "Right", show=False, id="heat.right"),
        Binding("left,h", "move(0, -1)", "Left", show=False, id="heat.left"),
        Binding("home,g", "first", "First", show=False, id="heat.first"),
        Binding("end,G", "last", "Last", show=False, id="heat.last"),
        Binding("enter", "open", "Open", show=False, id="heat.open"),
    ]

    @dataclass
    class CellHighlighted(Message):
        """The cursor is on another cell, or its share has changed; None if there is no cell."""

        heat_map: HeatMap
        row: int | None
        column: int | None

    @dataclass
    class CellOpened(Message):
        """Enter, or a click on the cell under the cursor."""

        heat_map: HeatMap
        row: int
        column: int

    def __init__(self, *, id: str | None = None, empty: str = "Nothing here.") -> None:  # noqa: A002 - as in Textual
        super().__init__(id=id, classes="panel")
        self._empty = empty
        self._rows: Sequence[str] = ()
        self._columns: Sequence[str] = ()
        self._cells: Sequence[Sequence[Share]] = ()
        self._here = Offset(0, 0)

    @property
    def here(self) -> tuple[int, int] | None:
        """Row and column under the cursor."""
        return (self._here.y, self._here.x) if self._rows and self._columns else None

    def put(self, rows: Sequence[str], columns: Sequence[str], cells: Sequence[Sequence[Share]]) -> None:
        """Show other shares. The cursor stays on its row and column by name, else begins at the newest row."""
        names = None if self.here is None else (self._rows[self._here.y], self._columns[self._here.x])
        self._rows, self._columns, self._cells = rows, columns, cells
        row = rows.index(names[0]) if names and names[0] in rows else len(rows) - 1
        column = columns.index(names[1]) if names and names[1] in columns else 0
        self._here = Offset(max(0, column), max(0, row))
        self.virtual_size = Size(_HEADING + _CELL * len(columns), 1 + len(rows))
        self._keep_in_view()
        self.refresh()
        self._tell()

    def action_move(self, down: int, right: int) -> None:
        """Move the cursor."""
        self._go(self._here + Offset(right, down))

    def action_first(self) -> None:
        """Go to the base and the first edit."""
        self._go(Offset(0, 0))

    def action_last(self) -> None:
        """Go to the newest version and the newest edit."""
        self._go(Offset(len(self._columns) - 1, len(self._rows) - 1))

    def action_open(self) -> None:
        """Open the cell under the cursor."""
        if self.here is not None:
            self.post_message(self.CellOpened(self, *self.here))

    def on_resize(self) -> None:
        """Keep the cursor visible."""
        self._keep_in_view()

    def on_click(self, event: events.Click) -> None:
        """Move the cursor there; a second click opens."""
        offset = event.get_content_offset(self)
        if offset is None or offset.y < 1 or offset.x < _HEADING:
            return
        column = (offset.x - _HEADING + self.scroll_offset.x) // _CELL
        row = offset.y - 1 + self.scroll_offset.y
        if row < len(self._rows) and column < len(self._columns):
            if Offset(column, row) == self._here and event.chain > 1:
                self.action_open()
            self._go(Offset(column, row))

    def render_line(self, y: int) -> Strip:
        """Draw the names of the columns, or a row."""
        width, base = self.size.width, self.visual_style.rich_style
        if self.here is None:
            text = f" {self._empty}" if y == 0 else ""
            return Strip([Segment(text, base)]).adjust_cell_length(width, base)
        if y == 0:
            cells = [self._cell(sanitize_line(name, _CELL - 1), self._heading(at == self._here.x), base)
                     for at, name in enumerate(self._columns)]  # fmt: skip
            return self._line(Segment(" " * _HEADING, base + self._style("heading")), cells, width, base)
        row = y - 1 + self.scroll_offset.y
        if row >= len(self._rows):
            return Strip.blank(width, base)
        name = f"{sanitize_line(self._rows[row], _HEADING - 2):<{_HEADING}}"
        cells = [self._share(row, column, base) for column in range(len(self._columns))]
        return self._line(Segment(name, base + self._style(self._heading(row == self._here.y))), cells, width, base)

    def _share(self, row: int, column: int, base: Style) -> Segment:
        share = self._cells[row][column]
        if Offset(column, row) == self._here and self.has_focus:
            return self._cell(self._figure(row, column), "cursor", base)
        if share is None:
            return self._cell("–", "unknown", base)
        tone = "high" if share >= _HIGH else "middle" if share >= _MIDDLE else "low"
        return self._cell(self._figure(row, column), tone, base)

    def _figure(self, row: int, column: int) -> str:
        """Return the share in percent; in brackets if the row learnt the column, with a sign if it has fallen since."""
        share = self._cells[row][column]
        if share is None:
            return "–"
        learnt = self._cells[column + 1][column] if column + 1 < len(self._cells) else None
        if row == column + 1:
            return f"[{100 * share:.0f}]"
        fell = row > column + 1 and learnt is not None and share < learnt
        return f"{100 * share:.0f}{FALLEN if fell else ' '}"

    def _cell(self, text: str, tone: str, base: Style) -> Segment:
        return Segment(f"{text:>{_CELL - 1}} ", base + self._style(tone))

    def _line(self, heading: Segment, cells: list[Segment], width: int, base: Style) -> Strip:
        left = self.scroll_offset.x
        seen = Strip(cells).crop(left, left + max(0, width - _HEADING))
        return Strip([heading, *seen]).adjust_cell_length(width, base)

    def _heading(self, is_here: bool) -> str:
        return "here" if is_here else "heading"

    def _style(self, tone: str) -> Style:
        return self.get_component_rich_style(f"heat--{tone}", partial=True)

    def _go(self, there: Offset) -> None:
        if self.here is None:
            return
        bounded = Offset(min(max(there.x, 0), len(self._columns) - 1), min(max(there.y, 0), len(self._rows) - 1))
        if bounded != self._here:
            self._here = bounded
            self._keep_in_view()
            self.refresh()
            self._tell()

    def _tell(self) -> None:
        row, column = self.here or (None, None)
        self.post_message(self.CellHighlighted(self, row, column))

    def _keep_in_view(self) -> None:
        cell = Region(self._here.x * _CELL, self._here.y, _CELL, 1)
        width, height = max(_CELL, self.size.width - _HEADING), max(1, self.size.height - 1)
        x, y = self.scroll_offset
        x = min(max(x, cell.right - width), cell.x)
        y = min(max(y, cell.bottom - height), cell.y)
        self.scroll_to(x=max(0, x), y=max(0, y), animate=False, force=True, immediate=True)
