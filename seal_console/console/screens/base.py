"""The messages that go between the console's parts."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, cast

from textual.containers import Container
from textual.message import Message
from textual.screen import Screen

from seal_console.console.dialogs.export import ExportDialog
from seal_console.console.runtime import ErrorBoundary, start_work
from seal_console.console.widgets.bars import KeyBar, TopBar
from seal_console.table_files import TableExport, as_text, export_table, path_in_exports, suggested_path
from store.errors import SealError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlite_utils import Database
    from textual.app import ComposeResult
    from textual.events import ScreenResume

    from seal_console.console.console_base import ConsoleBase


@dataclass
class ShowCandidate(Message):
    """Request to show a candidate in the review."""

    candidate_id: str


@dataclass
class ShowVersion(Message):
    """Request to show a version (0: before the first)."""

    number: int


MOST_COPIED = 1000


class SealScreen(ErrorBoundary, Screen[None]):
    """A screen of the console. Subclasses implement `body` and `load`."""

    NAME: ClassVar[str]
    HELP: ClassVar[str] = ""
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 - as Textual declares it
        (0, "-narrow"),
        (100, "-medium"),
        (160, "-wide"),
    ]
    VERTICAL_BREAKPOINTS = [  # noqa: RUF012
        (0, "-short"),
        (34, "-tall"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._stale = True
        self._behind = False
        self.was_loaded = False
        self._styled_for: tuple[str, bool] | None = None
        # Mounting applies the styles; Textual would otherwise parse them all again at the first visit.
        self._css_update_count = self.app._css_update_count  # noqa: SLF001

    @property
    def console(self) -> ConsoleBase:
        """The application, by its own class."""
        return cast("ConsoleBase", self.app)

    def compose(self) -> ComposeResult:
        """Lay out the top bar, the body and the key bar."""
        yield TopBar(self.NAME)
        with Container(id="body"):
            yield from self.body()
        yield KeyBar()

    def body(self) -> ComposeResult:
        """Yield the widgets of the screen."""
        raise NotImplementedError

    async def load(self) -> None:
        """Read and show everything."""
        raise NotImplementedError

    async def store_changed(self) -> None:
        """Show changes without moving anything under the cursor; by default, read everything again."""
        await self.load()

    async def progress_made(self) -> None:
        """Show the engine's progress if nothing else has changed; by default, do nothing."""

    def on_mount(self) -> None:
        """Show the top bar at once."""
        self.show_top()

    async def on_screen_resume(self, event: ScreenResume) -> None:
        """Read on the first visit, and what has changed since the last one."""
        # Textual would style every widget again and then draw every line: most of the time of a change of screens. But
        # hidden screens follow classes and focus too; they only miss changes of theme and application focus.
        styled_for = (self.app.theme, self.app.app_focus)
        event.refresh_styles = event.refresh_styles and styled_for != self._styled_for
        self._styled_for = styled_for
        self.show_top()
        if self._stale:
            self._stale = False
            start_work(self, partial(self.loaded, self.load), group="load")
        elif self._behind:
            start_work(self, partial(self.loaded, self.progress_made), group="load", exclusive=False)
        self._behind = False

    def note_change(self, *, happened: bool) -> None:
        """Show the change now if the screen is visible, otherwise on the next visit."""
        if self.is_current or self.app.screen_stack[:1] == [self]:  # empty while the app closes
            self.show_top()
            change = self.store_changed if happened else self.progress_made
            start_work(self, partial(self.loaded, change), group="load", exclusive=False)
        else:
            self._stale, self._behind = self._stale or happened, True

    def show_top(self) -> None:
        """Update the top bar."""
        facts = self.console.facts
        for bar in self.query(TopBar):  # none while the screen is being removed
            bar.show(
                waiting=facts.waiting, live=facts.live, engine=facts.engine, read_only=self.console.read_only,
                name=self.console.workspace.root.name,
            )  # fmt: skip

    def show_candidate(self, candidate_id: str) -> None:
        """Show a candidate, on the screen that can."""

    def show_version(self, number: int) -> None:
        """Show a version, on the screen that can."""

    def put_filter(self, text: str) -> None:
        """Filter as if the text had been typed, on a screen with a filter."""

    def table_export(self) -> TableExport | None:
        """Return the table's current rows in their order; None if it is empty or there is none."""
        return None

    async def action_copy_table(self) -> None:
        """Copy the table's rows to the clipboard, through the terminal."""
        table = self.table_export()
        if table is None:
            self.console.say("No table here, or it is empty.", "warning")
            return
        text, count = await asyncio.to_thread(as_text, self.console.workspace, table, MOST_COPIED)
        self.app.copy_to_clipboard(text)
        more = " (the limit; w exports all)" if count == MOST_COPIED else ""
        self.console.say(f"{count:,} {'row' if count == 1 else 'rows'} copied{more}.")

    async def export(self, table: TableExport | None) -> None:
        """Ask for a path and write the table there."""
        if table is None:
            self.console.say("The table is empty: nothing to export.", "warning")
            return
        if self.console.refuses_files():
            return
        workspace, suggested = self.console.workspace, suggested_path(self.console.workspace, table.name)
        into = suggested.parent if self.console.in_browser else None
        path = await self.app.push_screen_wait(ExportDialog(table.name, suggested, only_into=into))
        if path is not None:
            path = path_in_exports(workspace, str(path)) if self.console.in_browser else path
            count = await asyncio.to_thread(export_table, workspace, table, path)
            self.console.say(f"{count:,} {'row' if count == 1 else 'rows'} written to {path}")

    async def loaded(self, load: Callable[[], object]) -> None:
        """Run a loading step; a failure that can be expected is shown, and the screen stays."""
        try:
            result = load()
            if hasattr(result, "__await__"):
                await result
        except SealError as error:
            self.console.show_error(error)
        finally:
            self.was_loaded = True

    async def read(self, query: Callable[[Database], object]) -> object:
        """Run a query in the reader's thread."""
        return await self.console.reader.read(query)
