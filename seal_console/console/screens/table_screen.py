"""Common base of screens with a table and a detail pane: details, new rows, filter, export."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from textual import on
from textual.binding import Binding

from seal_console.console.content import assemble
from seal_console.console.runtime import start_work
from seal_console.console.screens.base import SealScreen
from seal_console.console.widgets.inputs import FilterBar, FilterInput
from seal_console.console.widgets.long_text import DetailPane
from seal_console.console.widgets.paged_table import PagedTable
from store.errors import WrongUseError

if TYPE_CHECKING:
    from textual.content import Content


# Subclasses list these after their own keys, so that the footer starts with the screen's own.
TABLE_KEYS: tuple[Binding, ...] = (
    Binding("w", "export", "Export", id="list.export", tooltip="the table, to a file"),
    Binding("Y", "copy_table", "Copy the table", show=False, id="list.copy", tooltip="its rows, to the clipboard"),
    Binding("R", "show_new", "Show new", show=False, id="list.show_new", tooltip="read everything again"),
)
FILTER_KEYS: tuple[Binding, ...] = (
    Binding("slash", "filter", "Filter", key_display="/", id="list.filter"),
    Binding("escape", "clear_filter", "Clear the filter", show=False, id="list.clear_filter"),
)


class TableScreen(SealScreen):
    """Subclasses implement `detail` and `table_export`, and count new rows in `new_rows`."""

    AUTO_FOCUS = "PagedTable"
    DEFAULT_CSS = """
    TableScreen .status { height: 1; padding: 0 1; background: $panel; color: $text-muted; text-wrap: nowrap; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.new_rows = 0

    async def detail(self, key: int) -> Content:
        """Read and return the text about a row."""
        raise NotImplementedError

    def with_news(self, *words: str) -> str:
        """Join parts of a status line, with the number of new rows first."""
        news = [f"{self.new_rows:,} new · R shows them"] if self.new_rows else []
        return " · ".join([*news, *(word for word in words if word)])

    @on(PagedTable.RowHighlighted)
    def look_at_row(self, event: PagedTable.RowHighlighted) -> None:
        """Show the text about the row under the cursor."""
        start_work(self, partial(self.loaded, partial(self.show_detail, event.key)), group="detail")

    async def show_detail(self, key: int | None) -> None:
        """Show the text about a row; nothing if there is none."""
        self.query_one(DetailPane).show(assemble("") if key is None else await self.detail(key), key)

    async def action_show_new(self) -> None:
        """Show everything as it is now; the cursor stays on its row."""
        await self.loaded(self.load)

    def action_export(self) -> None:
        """Ask for a path and write the table there."""
        start_work(self, partial(self.loaded, self._export), group="ask")

    async def _export(self) -> None:
        await self.export(self.table_export())


class FilteredScreen(TableScreen):
    """A table screen with a filter; `filter_text` is the one that applies."""

    def __init__(self) -> None:
        super().__init__()
        self.filter_text = ""
        self._refused = False

    async def show_filtered(self) -> None:
        """Show the table again after a change of the filter. Raises WrongUseError if it cannot be parsed."""
        raise NotImplementedError

    def show_status(self) -> None:
        """Show the status line."""
        raise NotImplementedError

    def put_filter(self, text: str) -> None:
        """Filter as if the text had been typed."""
        self.query_one(FilterBar).put(text)

    def action_filter(self) -> None:
        """Let a filter be typed."""
        self.query_one(FilterBar).begin()

    def action_clear_filter(self) -> None:
        """Show everything again."""
        if self.filter_text or self._refused:
            self.query_one(FilterBar).put("")

    @on(FilterBar.FilterChanged)
    async def apply_filter(self, event: FilterBar.FilterChanged) -> None:
        """Apply the filter; one that cannot be parsed stays in the field with an explanation, and the rows stay."""
        before, self.filter_text, self._refused = self.filter_text, event.text.strip(), False
        try:
            await self.show_filtered()
        except WrongUseError as error:
            self.filter_text, self._refused = before, True
            self.query_one(FilterBar).say(f"✗ {error.message}", wrong=True)

    @on(FilterBar.FilterClosed)
    def leave_filter(self) -> None:
        """Return to the table; text that was not applied is discarded."""
        if not self._refused:
            self.query_one(FilterInput).value = self.filter_text
            self.show_status()
        self.query_one(self.AUTO_FOCUS or "PagedTable").focus()
