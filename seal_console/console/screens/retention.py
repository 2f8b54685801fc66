"""Retention: the forgetting matrix of the live lineage as a heat map, drift, figures of rounds, and alarms."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from seal_console.console.content import assemble, safe_line
from seal_console.console.dialogs.confirm import Confirmation
from seal_console.console.runtime import start_work
from seal_console.console.screens.base import SealScreen, ShowVersion
from seal_console.console.screens.retention_card import drift_lines, retention_card, round_lines
from seal_console.console.widgets.heat_map import FALLEN, HeatMap
from seal_console.console.widgets.long_text import DetailPane
from seal_console.console.widgets.plots import LinesPlot
from seal_console.queries.exports import matrix_table
from seal_console.queries.retention import RetentionFacts, cell_facts, retention_facts
from store.alarms import clear_alarms
from store.version_tags import parse_number
from store.wording import counted

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from seal_console.table_files import TableExport


class RetentionScreen(SealScreen):
    """A heat map, two plots, and text about the cell under the cursor."""

    NAME = "retention"
    HELP = (
        "Rows are versions of the live lineage, columns accepted edits: how many of the edit's questions the version "
        f"answers right, in percent. [ ] marks the version that learnt it, {FALLEN} a fall since then, – not "
        "measured. Enter opens the version. Below: the versions' drift from the base, and the figures of rounds "
        "that raise alarms."
    )
    AUTO_FOCUS = "#matrix"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "clear_alarm", "Clear an alarm", id="retention.clear", tooltip="asks for a reason"),
        Binding("w", "export", "Export", id="retention.export", tooltip="the matrix, to a file"),
        Binding("Y", "copy_table", "Copy the table", show=False, id="retention.copy"),
        Binding("tab", "other_pane", "Other pane", show=False, id="retention.other_pane"),
    ]
    DEFAULT_CSS = """
    RetentionScreen #left { width: 7fr; }
    RetentionScreen #card { width: 5fr; }
    RetentionScreen #matrix { height: 1fr; }
    RetentionScreen #plots { height: 15; display: none; }
    RetentionScreen.-tall #plots { display: block; }
    RetentionScreen #plots > * { width: 1fr; height: 1fr; }
    RetentionScreen .status { height: 1; padding: 0 1; background: $panel; color: $text-muted; text-wrap: nowrap; }
    RetentionScreen.-narrow #plots { display: none; }
    RetentionScreen.-narrow #panes { layout: vertical; }
    RetentionScreen.-narrow #left { width: 1fr; height: 1fr; }
    RetentionScreen.-narrow #card { width: 1fr; height: 1fr; }
    RetentionScreen.-narrow .panel { border: none; border-top: solid $border; }
    RetentionScreen.-narrow .panel:focus { border: none; border-top: solid $primary; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._facts: RetentionFacts | None = None

    def body(self) -> ComposeResult:
        """The matrix with the plots below, and the text."""
        with Horizontal(id="panes"):
            with Vertical(id="left"):
                yield Static(id="status", classes="status")
                yield HeatMap(id="matrix", empty="No edit is accepted on the live lineage yet: 2 shows the queue.")
                with Horizontal(id="plots"):
                    yield LinesPlot("Drift, nats per token", "no drift measured", id="drift")
                    yield LinesPlot("◆ held out ● agree ▲ diverse", "no round measured", id="rounds_plot")
            yield DetailPane("Under the cursor", id="card")

    @property
    def matrix(self) -> HeatMap:
        """The heat map."""
        return self.query_one(HeatMap)

    async def load(self) -> None:
        """Read everything and draw it."""
        facts = await self.console.reader.read(retention_facts)
        self._facts = facts
        self.matrix.border_title = "Right answers in %: versions down, edits across"
        self.matrix.put(facts.matrix.rows, [column.version for column in facts.matrix.columns], facts.matrix.cells)
        self.query_one("#drift", LinesPlot).show(drift_lines(facts.drift))
        self.query_one("#rounds_plot", LinesPlot).show(round_lines(facts.measures))
        self._show_status()

    async def store_changed(self) -> None:
        """The same: the cursor stays on its version and its edit."""
        await self.load()

    @on(HeatMap.CellHighlighted)
    def look_at_cell(self) -> None:
        """Show the text about the cell under the cursor."""
        start_work(self, partial(self.loaded, self._show_cell), group="detail")

    @on(HeatMap.CellOpened)
    def open_version(self, event: HeatMap.CellOpened) -> None:
        """Show the version of the row."""
        if self._facts is not None:
            self.post_message(ShowVersion(parse_number(self._facts.matrix.rows[event.row])))

    def action_other_pane(self) -> None:
        """Go between the matrix and the text."""
        card = self.query_one("#card", DetailPane)
        (card if self.matrix.has_focus else self.matrix).focus()

    def action_export(self) -> None:
        """Ask for a path and write the matrix there."""
        start_work(self, partial(self.loaded, partial(self.export, self.table_export())), group="ask")

    def action_clear_alarm(self) -> None:
        """Confirm, then clear the oldest active alarm."""
        start_work(self, partial(self.loaded, self._clear), group="ask")

    def table_export(self) -> TableExport | None:
        """The matrix."""
        facts = self._facts
        return matrix_table(facts.matrix) if facts is not None and facts.matrix.columns else None

    async def _show_cell(self) -> None:
        facts, here = self._facts, self.matrix.here
        if facts is None:
            return
        cell = None
        if here is not None:
            version, edit = facts.matrix.rows[here[0]], facts.matrix.columns[here[1]].version
            cell = await self.console.reader.read(lambda db: cell_facts(db, version, edit))
        self.query_one("#card", DetailPane).show(retention_card(facts, cell), here)

    async def _clear(self) -> None:
        console, facts = self.console, self._facts
        active = [alarm for alarm in facts.alarms if alarm.id in facts.active] if facts else []
        if not active:
            console.say("No active alarms.")
            return
        alarm = active[0]
        happens = (
            f"{alarm.name}, raised in round {alarm.round_number}.",
            "It no longer blocks automatic acceptance; the alarm and its clearing stay in the record.",
            f'Command: seal-console alarms clear {alarm.id} --reason "…"',
        )
        question = Confirmation(
            f"Clear alarm {alarm.id}?", happens, "Clear it", reason="why", reasons=tuple(console.reasons)
        )
        reason = await console.ask(question)
        if reason is None:
            return
        done = await console.act(
            f"clear alarm {alarm.id}", lambda _, db: clear_alarms(db, str(alarm.id), console.actor, reason)
        )
        if done is not None:
            console.say(f"Alarm {alarm.id} is cleared.")

    def _show_status(self) -> None:
        facts = self._facts
        if facts is None:
            return
        active = len(facts.active)
        words = assemble(
            (f"! {counted(active, 'alarm')} active" if active else "no active alarms",
             "$text-error bold" if active else ""),
            f" · {counted(len(facts.matrix.columns), 'edit')} on the live lineage",
        )  # fmt: skip
        self.query_one("#status", Static).update(words if active else safe_line(words.plain))
