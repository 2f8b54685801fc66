"""The log: every event of the workspace as it is written, and the commands of this console's actions."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical

from seal_console.console.actions import HISTORY_NAME, kept_traces
from seal_console.console.content import assemble
from seal_console.console.render_event import action_card, action_row, event_card, event_row
from seal_console.console.screens.table_screen import FILTER_KEYS, TABLE_KEYS, FilteredScreen
from seal_console.console.widgets.inputs import FilterBar
from seal_console.console.widgets.long_text import DetailPane
from seal_console.console.widgets.paged_table import PagedTable
from seal_console.console.widgets.table_columns import Column, Row
from seal_console.queries.exports import events_table
from seal_console.queries.log import event_facts, event_keys, event_keys_after, event_rows
from seal_console.table_files import TableExport
from store.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult
    from textual.content import Content

    from seal_console.console.command_trace import Trace

_EVENTS = (Column("Event", 9, right=True), Column("At (UTC)", 14), Column("Kind", 19), Column("About"))
_ACTIONS = (
    Column("At (UTC)", 14),
    Column("Action"),
    Column("By", 10, optional=1),
    Column("Ran", 4, right=True),
    Column("Outcome", 12),
)
_ACTION_HEADERS = ("at", "title", "actor", "commands", "failed")


class LogScreen(FilteredScreen):
    """Keys of the table of events are their numbers; those of the actions count from the oldest that is known."""

    NAME = "log"
    HELP = (
        "Every event, the newest at the bottom; on the last row the cursor follows new events. f freezes the list. "
        "Filter: words, or kind:moved actor:ada text:word round:3 number>100 at>=2026-11-22T09 hash:… ; a minus "
        "negates a term. a shows the git commands and SQL of this console's actions."
    )
    AUTO_FOCUS = "#events"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "freeze", "Freeze", id="log.freeze", tooltip="stop or follow new events"),
        Binding("a", "actions", "Actions/events", id="log.actions", tooltip="the commands of consoles' actions"),
        *FILTER_KEYS,
        *TABLE_KEYS,
    ]
    DEFAULT_CSS = """
    LogScreen #left { width: 13fr; }
    LogScreen #card { width: 8fr; height: 1fr; }
    LogScreen #events, LogScreen #actions { height: 1fr; }
    LogScreen #actions { display: none; }
    LogScreen.-actions #actions { display: block; }
    LogScreen.-actions #events { display: none; }
    LogScreen.-narrow #columns { layout: vertical; }
    LogScreen.-narrow #left { width: 1fr; height: 1fr; }
    LogScreen.-narrow #card { width: 1fr; height: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._frozen = False
        self._seen = 0
        self._traces: list[Trace] = []

    def body(self) -> ComposeResult:
        """The events, or the actions, and the one under the cursor."""
        with Horizontal(id="columns"):
            with Vertical(id="left"):
                yield FilterBar("words kind:moved")
                yield PagedTable(_EVENTS, self._event_rows, id="events", empty="No event matches.")
                yield PagedTable(_ACTIONS, self._action_rows, id="actions", empty="No actions yet.")
            yield DetailPane("Event", id="card")

    @property
    def events(self) -> PagedTable:
        """The events."""
        return self.query_one("#events", PagedTable)

    @property
    def shows_actions(self) -> bool:
        """Whether the actions are seen, and not the events."""
        return self.has_class("-actions")

    async def load(self) -> None:
        """Read matching events; the cursor stays on its event, or moves to the newest at first and while it follows."""
        if self._frozen:
            await self.store_changed()
            return
        follow = self._follows
        await self._show()
        if follow:
            self.events.action_last()
        await self._read_actions()

    async def show_filtered(self) -> None:
        """Show matching events and move to the newest."""
        await self._show()
        self.events.action_last()

    async def store_changed(self) -> None:
        """Append new events, or only count them if the list is frozen."""
        text, seen = self.filter_text, self._seen
        came = await self.console.reader.read(lambda db: event_keys_after(db, text, seen))
        if self._frozen:
            self.new_rows = len(came)
        elif came:
            self._append(came)
        if self.shows_actions:
            await self._read_actions()
        self.show_status()

    @property
    def _follows(self) -> bool:
        return not self._frozen and self.events.cursor >= len(self.events.keys) - 1

    async def _show(self) -> None:
        text = self.filter_text
        keys = await self.console.reader.read(lambda db: event_keys(db, text))
        self._seen = keys[-1] if keys else 0
        self.new_rows = 0
        self.events.show(keys)
        self.show_status()

    def _append(self, came: Sequence[int]) -> None:
        follow, shown = self._follows, self.events.keys
        if isinstance(came, range) and isinstance(shown, range):
            keys: Sequence[int] = range(shown.start if shown else came.start, came.stop)
        else:
            keys = [*shown, *came]
        self._seen = came[-1]
        self.events.show(keys)
        if follow:
            self.events.action_last()

    async def detail(self, key: int) -> Content:
        """Read the event, or take the action, under the cursor."""
        if self.shows_actions:
            return action_card(self._traces[key])
        facts = await self.console.reader.read(lambda db: event_facts(db, key))
        return assemble("This event is not in the log.") if facts is None else event_card(facts)

    @on(PagedTable.RowHighlighted)
    def only_what_is_seen(self, event: PagedTable.RowHighlighted) -> None:
        """The text is about the table that is seen."""
        if (event.table.id == "actions") != self.shows_actions:
            event.prevent_default()
        self.show_status()

    async def action_show_new(self) -> None:
        """Show everything as it is now, the newest at the end."""
        self._frozen = False
        await self.loaded(self.load)

    async def action_freeze(self) -> None:
        """Freeze the list, or follow again and show new events."""
        self._frozen = not self._frozen
        await self.loaded(self.store_changed)
        if not self._frozen:
            self.new_rows = 0
            self.events.action_last()
        self.show_status()

    async def action_actions(self) -> None:
        """Switch between the events and the actions of this console."""
        self.toggle_class("-actions")
        await self._read_actions()
        table = self.query_one("#actions" if self.shows_actions else "#events", PagedTable)
        table.focus()
        self.query_one("#card", DetailPane).border_title = "Action" if self.shows_actions else "Event"
        self.show_status()
        await self.show_detail(table.key)

    def action_filter(self) -> None:
        """Let a filter for the events be typed."""
        if self.shows_actions:
            self.console.say("The filter is for events; a shows them again.")
        else:
            super().action_filter()

    def table_export(self) -> TableExport | None:
        """Return the matching events, or the actions if they are shown."""
        if self.shows_actions:
            rows = [(one.at, one.title, one.actor, "\n".join(one.commands), one.failed) for one in self._traces]
            return TableExport("actions", _ACTION_HEADERS, lambda _: rows) if rows else None
        keys = self.events.keys
        return events_table(keys) if keys else None

    def show_status(self) -> None:
        """Show how many rows there are, and whether the list follows new events."""
        words = (
            counted(len(self._traces), "action")
            if self.shows_actions
            else f"{self._tail()} · {counted(len(self.events.keys), 'event')}"
        )
        self.query_one(FilterBar).say(words)

    def _tail(self) -> str:
        if self._frozen:
            return f"frozen · {self.new_rows:,} new"
        return "following" if self._follows else "G: newest"

    async def _read_actions(self) -> None:
        path = self.console.workspace.cache_folder / HISTORY_NAME
        kept = await asyncio.to_thread(kept_traces, path)
        for trace in [*kept, *self.console.actions.history]:
            if trace not in self._traces:
                self._traces.append(trace)
        self.query_one("#actions", PagedTable).show(range(len(self._traces)))

    def _event_rows(self, keys: Sequence[int]) -> dict[int, Row]:
        found = self.console.reader.read_now(lambda db: event_rows(db, keys))
        return {key: event_row(one) for key, one in found.items()}

    def _action_rows(self, keys: Sequence[int]) -> dict[int, Row]:
        return {key: action_row(self._traces[key]) for key in keys if key < len(self._traces)}
