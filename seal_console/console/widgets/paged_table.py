"""A table of any length whose rows are fetched when they become visible.

It gets keys in their order and a function that fetches rows by key. Rows never move under the cursor: new keys come
only with `show`, which keeps the cursor on its row. Textual's own table stores and measures every cell, which takes
seconds for 100,000 rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.cache import LRUCache
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from seal_console.console.runtime import ErrorBoundary
from seal_console.console.widgets.table_columns import GAP, GUTTER, Column, Row, fit_text, share_width

if TYPE_CHECKING:
    from textual import events

_PAGE = 64


FetchRows = Callable[[Sequence[int]], dict[int, Row]]


@dataclass(frozen=True, slots=True)
class _Look:
    """Everything except cells and column widths that a row's appearance depends on."""

    key: int
    here: bool
    marked: bool
    focused: bool
    width: int
    base: Style


class PagedTable(ErrorBoundary, ScrollView, can_focus=True):
    """Rows in view of a long list, with a cursor and marks."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "table--header", "table--cursor", "table--marked", "table--good", "table--bad", "table--warn", "table--dim",
        "table--accent",
    }  # fmt: skip
    DEFAULT_CSS = """
    PagedTable { background: $surface; color: $foreground; overflow-x: hidden; scrollbar-size-vertical: 1; }
    PagedTable .table--header { color: $text-muted; text-style: bold; background: $panel; }
    PagedTable .table--cursor { background: $block-cursor-blurred-background; text-style: bold; }
    PagedTable:focus .table--cursor {
        background: $block-cursor-background; color: $block-cursor-foreground; text-style: bold;
    }
    PagedTable .table--marked { text-style: bold; }
    PagedTable .table--good { color: $text-success; }
    PagedTable .table--bad { color: $text-error; }
    PagedTable .table--warn { color: $text-warning; }
    PagedTable .table--dim { color: $text-muted; }
    PagedTable .table--accent { color: $text-accent; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Down", show=False, id="table.down"),
        Binding("up,k", "move(-1)", "Up", show=False, id="table.up"),
        Binding("pagedown,ctrl+d", "page(1)", "Page down", show=False, id="table.page_down"),
        Binding("pageup,ctrl+u", "page(-1)", "Page up", show=False, id="table.page_up"),
        Binding("home,g", "first", "First", show=False, id="table.first"),
        Binding("end,G", "last", "Last", show=False, id="table.last"),
        Binding("enter", "open", "Open", show=False, id="table.open"),
        Binding("space", "mark", "Mark", show=False, id="table.mark"),
    ]
    cursor: reactive[int] = reactive(0, repaint=False)

    @dataclass
    class RowHighlighted(Message):
        """The cursor is on another row, or on the same one with other content; `key` is None in an empty table."""

        table: PagedTable
        key: int | None

        @property
        def control(self) -> PagedTable:
            """The table, so that handlers can be chosen by its id."""
            return self.table

    @dataclass
    class RowOpened(Message):
        """Enter, or a click on the row under the cursor."""

        table: PagedTable
        key: int

        @property
        def control(self) -> PagedTable:
            """The table."""
            return self.table

    @dataclass
    class SortRequested(Message):
        """A heading that can be sorted by was clicked."""

        table: PagedTable
        sort: str

        @property
        def control(self) -> PagedTable:
            """The table."""
            return self.table

    def __init__(
        self,
        columns: Sequence[Column],
        fetch: FetchRows,
        *,
        id: str | None = None,  # noqa: A002 - as in Textual
        empty: str = "Nothing here.",
    ) -> None:
        super().__init__(id=id)
        self.columns = list(columns)
        self.keys: Sequence[int] = ()
        self.marked: set[int] = set()
        self.sorted_by: tuple[str, bool] = ("", False)
        self._fetch = fetch
        self._empty = empty
        self._rows: LRUCache[int, Row | None] = LRUCache(1024)
        self._widths: list[int] = []
        self._drawn: LRUCache[_Look, tuple[Row | None, list[int], Strip]] = LRUCache(512)

    @property
    def key(self) -> int | None:
        """The key under the cursor."""
        return self.keys[self.cursor] if 0 <= self.cursor < len(self.keys) else None

    def show(self, keys: Sequence[int], *, keep: bool = True) -> None:
        """Show other keys; the cursor stays on its row if that is still there, else at its place."""
        on = self.key
        self.keys = keys
        self.marked &= set(keys) if self.marked else set()
        self._rows.clear()
        self.virtual_size = Size(self.size.width, len(keys) + 1)
        place = self._place_of(on) if keep else 0
        self.set_reactive(PagedTable.cursor, max(0, min(place, len(keys) - 1)))
        self._keep_in_view()
        self.refresh()
        self.post_message(self.RowHighlighted(self, self.key))

    def set_columns(self, columns: Sequence[Column]) -> None:
        """Change the columns; `fetch` must return as many cells."""
        self.columns = list(columns)
        self._widths = share_width(self.columns, self.size.width)
        self._rows.clear()
        self.refresh()

    def refetch(self) -> None:
        """Read the visible rows again and draw those that changed; their order stays."""
        top = self.scroll_offset.y
        in_view = range(top, min(top + self.size.height - 1, len(self.keys)))
        before = {place: self._rows.get(self.keys[place]) for place in in_view}
        self._rows.clear()
        for place in in_view:
            if self._row_of(place, self.keys[place]) != before[place]:
                self._refresh_row(place)

    def chosen(self) -> list[int]:
        """The marked keys in the order of the table, or the one under the cursor."""
        if self.marked:
            return [key for key in self.keys if key in self.marked]
        return [] if self.key is None else [self.key]

    def move_to(self, place: int) -> None:
        """Move the cursor to a row by its place."""
        self.cursor = max(0, min(place, len(self.keys) - 1))

    def watch_cursor(self, before: int, after: int) -> None:
        """Draw the two rows again and post a message."""
        self._keep_in_view()
        for place in (before, after):
            self._refresh_row(place)
        self.post_message(self.RowHighlighted(self, self.key))

    def watch_show_vertical_scrollbar(self, shown: bool) -> None:
        """Place the scrollbar: Textual does not move it while it is hidden."""
        if shown and self.scroll_y:
            self.vertical_scrollbar.position = self.scroll_y

    def action_move(self, by: int) -> None:
        """Move the cursor by rows."""
        self.move_to(self.cursor + by)

    def action_page(self, by: int) -> None:
        """Move the cursor by pages."""
        self.move_to(self.cursor + by * max(1, self.size.height - 2))

    def action_first(self) -> None:
        """Go to the first row."""
        self.move_to(0)

    def action_last(self) -> None:
        """Go to the last row."""
        self.move_to(len(self.keys) - 1)

    def action_open(self) -> None:
        """Open the row under the cursor."""
        if self.key is not None:
            self.post_message(self.RowOpened(self, self.key))

    def action_mark(self) -> None:
        """Toggle the mark of a row and move to the next."""
        if self.key is None:
            return
        self.marked ^= {self.key}
        self.refresh()
        if self.cursor + 1 < len(self.keys):
            self.move_to(self.cursor + 1)
        else:
            self.post_message(self.RowHighlighted(self, self.key))

    def unmark(self) -> None:
        """Take all marks back."""
        self.marked.clear()
        self.refresh()

    def on_resize(self, event: events.Resize) -> None:
        """Share the width out again."""
        self._widths = share_width(self.columns, event.size.width)
        self.virtual_size = Size(event.size.width, len(self.keys) + 1)
        self._keep_in_view()
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        """Move the cursor there; a second click opens; a click on a heading sorts."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        if offset.y == 0:
            self._click_heading(offset.x)
            return
        place = offset.y - 1 + self.scroll_offset.y
        if place >= len(self.keys):
            return
        if offset.x < GUTTER:
            self.move_to(place)
            self.action_mark()
        elif place == self.cursor and event.chain > 1:
            self.action_open()
        else:
            self.move_to(place)

    def render_line(self, y: int) -> Strip:
        """Draw one line of the view: the heading stays at the top."""
        width = self.size.width
        base = self.visual_style.rich_style  # `rich_style` is the same, but walks up the tree for each row
        if not self._widths:  # drawn before the first layout: it was hidden until now
            self._widths = share_width(self.columns, width)
        if y == 0:
            return self._heading(width, base)
        place = y - 1 + self.scroll_offset.y
        if not self.keys and y == 1:
            return Strip([Segment(f"  {self._empty}", base)]).adjust_cell_length(width, base)
        if place >= len(self.keys):
            return Strip.blank(width, base)
        return self._row(place, width, base)

    def _row(self, place: int, width: int, base: Style) -> Strip:
        """One row; drawn before, it is not drawn again while it scrolls: that takes most of the time of a key."""
        key = self.keys[place]
        row = self._row_of(place, key)
        look = _Look(key, place == self.cursor, key in self.marked, self.has_focus, width, base)
        drawn = self._drawn.get(look)
        if drawn is None or drawn[0] != row or drawn[1] is not self._widths:
            drawn = (row, self._widths, self._draw_row(row, look))
            self._drawn[look] = drawn
        return drawn[2]

    def _draw_row(self, row: Row | None, look: _Look) -> Strip:
        base = look.base
        over = self._style("cursor") if look.here else self._style("marked") if look.marked else Style.null()
        plain = base + over
        segments = [Segment(("●" if look.marked else " ") + ("›" if look.here else " "), plain)]
        if row is None:
            segments.append(Segment("(no longer there)", plain))
        else:
            for cell, column, cells in zip(row, self.columns, self._widths, strict=True):
                if cells <= 0:
                    continue
                text, tone = (cell, "") if isinstance(cell, str) else (cell.text, cell.tone)
                style = plain if not tone or (look.here and look.focused) else base + self._style(tone) + over
                segments += [*fit_text(text, cells, style, right=column.right), Segment(" " * GAP, plain)]
        return Strip(segments).adjust_cell_length(look.width, plain)

    def _heading(self, width: int, base: Style) -> Strip:
        style = base + self._style("header")
        segments = [Segment(" " * GUTTER, style)]
        for column, cells in zip(self.columns, self._widths, strict=False):
            if cells > 0:
                sign = ("▲" if self.sorted_by[1] else "▼") if column.sort and column.sort == self.sorted_by[0] else ""
                segments += [*fit_text(column.name + sign, cells, style, right=column.right), Segment(" " * GAP, style)]
        return Strip(segments).adjust_cell_length(width, style)

    def _row_of(self, place: int, key: int) -> Row | None:
        if key not in self._rows:
            first = place - place % _PAGE
            page = list(self.keys[first : first + _PAGE])
            found = self._fetch(page)
            for one in page:
                self._rows[one] = found.get(one)
        return self._rows.get(key)

    def _refresh_row(self, place: int) -> None:
        self.refresh(Region(0, place + 1 - self.scroll_offset.y, self.size.width, 1))

    def _place_of(self, key: int | None) -> int:
        if key is None:
            return self.cursor
        try:
            return self.keys.index(key)
        except ValueError:
            return self.cursor

    def _keep_in_view(self) -> None:
        height = max(1, self.size.height - 1)
        top = self.scroll_offset.y
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False, force=True, immediate=True)
        elif self.cursor >= top + height:
            self.scroll_to(y=self.cursor - height + 1, animate=False, force=True, immediate=True)

    def _click_heading(self, x: int) -> None:
        at = GUTTER
        for column, cells in zip(self.columns, self._widths, strict=False):
            if cells <= 0:
                continue
            if at <= x < at + cells + GAP and column.sort:
                self.post_message(self.SortRequested(self, column.sort))
                return
            at += cells + GAP

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"table--{name}", partial=True)
