"""The review: the queue next to a whole candidate; a decision takes one dialog."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical

from seal_console.console.runtime import start_work
from seal_console.console.screens.base import SealScreen
from seal_console.console.screens.candidate_content import CandidateContent, read_candidate
from seal_console.console.screens.candidate_pane import CandidatePane
from seal_console.console.screens.review_decisions import DecisionFlows
from seal_console.console.screens.review_table import COLUMNS, fetch_rows
from seal_console.console.widgets.inputs import FilterBar
from seal_console.console.widgets.paged_table import PagedTable
from seal_console.queries.queue import SORTS, QueueQuery, arrived_since, queue_keys, queue_rows
from store.errors import SealError, WrongUseError
from store.events import chain_head
from store.review_queue import is_waiting

if TYPE_CHECKING:
    from sqlite_utils import Database
    from textual.app import ComposeResult
    from textual.timer import Timer

    from seal_console.table_files import TableExport

_REST_S = 0.15


class ReviewScreen(SealScreen):
    """Decide about self-edits."""

    NAME = "review"
    HELP = (
        "Measured self-edits that wait for a decision, best first; next to them the one under the cursor.\n"
        "Filter: words, field:word, field>number; all terms must match; - before a term negates it.\n"
        "Fields: id task text state role format source round reward spread audit imported review.\n"
        "Rows never move by themselves: new candidates are counted, and R shows them."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("A", "accept", "Accept", id="review.accept", tooltip="make it the live version; asks first"),
        Binding("x", "reject", "Reject", id="review.reject", tooltip="the marked ones, else the one under the cursor"),
        Binding("d", "defer", "Defer", id="review.defer", tooltip="decide later"),
        Binding("u", "undo", "Undo", id="review.undo", tooltip="undo your last reject or defer"),
        Binding("e", "edit", "Edit", id="review.edit", tooltip="change its text; evaluated as a new candidate"),
        Binding("E", "edit_outside", "In $EDITOR", show=False, id="review.edit_outside"),
        Binding("t", "sequences", "Sequences", id="review.sequences", tooltip="switch training sequences off"),
        Binding("slash", "filter", "Filter", key_display="/", id="review.filter"),
        Binding("F", "saved_filters", "Saved filters", show=False, id="review.saved_filters"),
        Binding("s", "sort(1)", "Sort", show=False, id="review.sort"),
        Binding("S", "sort_backwards", "Reverse the order", show=False, id="review.sort_backwards"),
        Binding("v", "everything", "All / waiting", show=False, id="review.everything",
                tooltip="include decided, refused and imported candidates"),
        Binding("R", "show_new", "Show new", id="review.show_new", tooltip="read the queue again"),
        Binding("tab", "other_pane", "Other pane", show=False, id="review.other_pane"),
        Binding("left_square_bracket", "section(-1)", "Previous section", show=False, id="review.section_up"),
        Binding("right_square_bracket", "section(1)", "Next section", show=False, id="review.section_down"),
        Binding("escape", "unmark", "Unmark all, clear the filter", show=False, id="review.unmark"),
        Binding("Y", "copy_table", "Copy the table", show=False, id="review.copy"),
        Binding("w", "export", "Export", show=False, id="review.export", tooltip="the table, as CSV"),
    ]  # fmt: skip
    DEFAULT_CSS = """
    ReviewScreen #queue { width: 5fr; }
    ReviewScreen #candidate { width: 7fr; }
    ReviewScreen PagedTable { height: 1fr; }
    ReviewScreen.-narrow #panes { layout: vertical; }
    ReviewScreen.-narrow .panel { border: none; border-top: solid $border; }
    ReviewScreen.-narrow .panel:focus { border: none; border-top: solid $primary; }
    ReviewScreen.-narrow #queue { width: 1fr; height: 2fr; }
    ReviewScreen.-narrow #candidate { width: 1fr; height: 3fr; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.query_now = QueueQuery()
        self._newest = 0
        self._new = 0
        self._resting: Timer | None = None
        self.flows = DecisionFlows(self)

    def body(self) -> ComposeResult:
        """The queue with its filter, and the candidate."""
        with Horizontal(id="panes"):
            with Vertical(id="queue"):
                yield FilterBar("words reward>0.5 task:name")
                yield PagedTable(
                    COLUMNS,
                    lambda keys: fetch_rows(self.console.reader, keys),
                    id="table",
                    empty="Nothing waits. v shows all, ctrl+r runs a round.",
                )
            yield CandidatePane()

    @property
    def table(self) -> PagedTable:
        """The queue."""
        return self.query_one("#table", PagedTable)

    @property
    def pane(self) -> CandidatePane:
        """The candidate."""
        return self.query_one(CandidatePane)

    def on_mount(self) -> None:
        """Begin in the queue."""
        super().on_mount()
        self.table.focus()

    async def load(self) -> None:
        """Read the queue again; the cursor stays on its candidate if that is still there."""
        query = self.query_now
        try:
            keys, self._newest = await self.console.reader.read(lambda db: (queue_keys(db, query), chain_head(db)[0]))
        except WrongUseError as error:
            self.query_one(FilterBar).say(error.message, wrong=True)
            return
        self.table.sorted_by = (query.sort, query.backwards)
        self.table.show(keys)
        self._say(0)

    async def store_changed(self) -> None:
        """Count new candidates; show other people's decisions in their rows, which stay in place."""
        query, newest = self.query_now, self._newest
        new = await self.console.reader.read(lambda db: arrived_since(db, query, newest))
        if not self.table.keys and new:
            await self.load()
            return
        self.table.refetch()
        self._say(new)
        self._show_candidate()

    def _say(self, new: int) -> None:
        table = self.table
        words = [f"{len(table.keys):,} {'in all' if self.query_now.everything else 'listed'}"]
        words += [f"{len(table.marked):,} marked"] if table.marked else []
        words += [f"{new:,} new · R shows them"] if new else []
        self.query_one(FilterBar).say(" · ".join(words))
        self._new = new

    @on(PagedTable.RowHighlighted, "#table")
    def highlighted(self) -> None:
        """Show the candidate under the cursor, once the cursor rests."""
        self._say(self._new)
        self._show_candidate()

    def _show_candidate(self) -> None:
        """Read the candidate once the cursor rests: while it runs down the queue, keys come first."""
        if self._resting is not None:
            self._resting.stop()
        self._resting = self.set_timer(_REST_S, self._show_resting)

    def _show_resting(self) -> None:
        start_work(self, partial(self._read_candidate, self.table.key), group="candidate")

    async def _read_candidate(self, key: int | None) -> None:
        if key is None:
            self.pane.show(None)
            return
        shown = await self.console.reader.read(lambda db: _candidate_at(db, key))
        if shown is not None and self.table.key == key and shown != self.pane.shown:
            self.pane.show(shown)

    @on(PagedTable.RowOpened, "#table")
    def opened(self) -> None:
        """Go into the candidate."""
        self.pane.focus()

    @on(PagedTable.SortRequested, "#table")
    async def sort_asked(self, event: PagedTable.SortRequested) -> None:
        """Sort by the heading that was clicked; a second click turns the order round."""
        same = event.sort == self.query_now.sort
        await self._ask_for(
            replace(self.query_now, sort=event.sort, backwards=not self.query_now.backwards if same else False)
        )

    @on(FilterBar.FilterChanged)
    async def filtered(self, event: FilterBar.FilterChanged) -> None:
        """Show matching rows."""
        await self._ask_for(replace(self.query_now, text=event.text))

    @on(FilterBar.FilterClosed)
    def filter_left(self) -> None:
        """Back to the queue."""
        self.table.focus()

    def show_candidate(self, candidate_id: str) -> None:
        """Move the cursor to a candidate, whether it waits or not."""
        self.query_now = replace(self.query_now, everything=True)
        self.put_filter(f"id:{candidate_id}")

    def put_filter(self, text: str) -> None:
        """Filter as if the text had been typed."""
        self.query_one(FilterBar).put(text)

    async def _ask_for(self, query: QueueQuery) -> None:
        self.query_now = query
        await self.load()

    async def action_sort(self, by: int) -> None:
        """Sort by the next column."""
        names = list(SORTS)
        sort = names[(names.index(self.query_now.sort) + by) % len(names)]
        await self._ask_for(replace(self.query_now, sort=sort, backwards=False))

    async def action_sort_backwards(self) -> None:
        """Turn the order round."""
        await self._ask_for(replace(self.query_now, backwards=not self.query_now.backwards))

    async def action_everything(self) -> None:
        """Show all candidates, or only those that wait."""
        await self._ask_for(replace(self.query_now, everything=not self.query_now.everything))

    async def action_show_new(self) -> None:
        """Read the queue again."""
        await self.load()

    def action_filter(self) -> None:
        """Type a filter."""
        self.query_one(FilterBar).begin()

    def action_other_pane(self) -> None:
        """Go to the other pane."""
        (self.pane if self.table.has_focus else self.table).focus()

    def action_section(self, by: int) -> None:
        """Scroll the candidate by sections."""
        self.pane.go_to_section(by)

    def action_unmark(self) -> None:
        """Take all marks back, then the filter; from the candidate, go back to the queue."""
        if not self.table.has_focus:
            self.table.focus()
        elif self.table.marked:
            self.table.unmark()
            self._say(self._new)
        elif self.query_one(FilterBar).text:
            self.put_filter("")

    def action_accept(self) -> None:
        """Ask about accepting."""
        start_work(self, self.flows.accept, group="ask")

    def action_reject(self) -> None:
        """Ask about rejecting."""
        start_work(self, self.flows.reject, group="ask")

    def action_defer(self) -> None:
        """Ask about putting aside."""
        start_work(self, self.flows.defer, group="ask")

    def action_undo(self) -> None:
        """Ask about taking the last decision back."""
        start_work(self, self.flows.undo, group="ask")

    def action_edit(self) -> None:
        """Edit the self-edit here."""
        start_work(self, self.flows.edit, group="ask")

    def action_edit_outside(self) -> None:
        """Edit the self-edit in $EDITOR."""
        start_work(self, self.flows.edit_outside, group="ask")

    def action_sequences(self) -> None:
        """Switch training sequences off."""
        start_work(self, self.flows.sequences, group="ask")

    def action_saved_filters(self) -> None:
        """Choose a saved filter, or save this one."""
        start_work(self, self.flows.saved_filters, group="ask")

    def action_export(self) -> None:
        """Write the table to a file."""
        start_work(self, partial(self.loaded, partial(self.export, self.table_export())), group="ask")

    def table_export(self) -> TableExport | None:
        """Return the rows of the queue."""
        return self.flows.table_export()

    def go_on(self) -> None:
        """After a decision the next one that waits comes up by itself."""
        table = self.table
        table.unmark()
        table.refetch()
        after = list(table.keys[table.cursor + 1 : table.cursor + 200])
        rows = self.console.reader.read_now(lambda db: queue_rows(db, after)) if after else {}
        found = ((place, rows[key]) for place, key in enumerate(after) if key in rows)
        waiting = [place for place, row in found if is_waiting(row.state, imported=bool(row.imported))]
        if waiting:
            table.move_to(table.cursor + 1 + waiting[0])
        else:
            self._show_candidate()


def _candidate_at(db: Database, key: int) -> CandidateContent | None:
    row = queue_rows(db, [key]).get(key)
    try:
        return None if row is None else read_candidate(db, row.id)
    except SealError:
        return None
