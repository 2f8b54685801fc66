"""The rounds: their figures, the outcome of the policy, and the candidates of one round, the best first."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from seal_console.console.content import safe_line
from seal_console.console.dialogs.confirm import Confirmation
from seal_console.console.runtime import start_work
from seal_console.console.screens.base import ShowCandidate
from seal_console.console.screens.round_report import RANKED_COLUMNS, ROUND_COLUMNS, ranked_row, round_report, round_row
from seal_console.console.screens.table_screen import TABLE_KEYS, TableScreen
from seal_console.console.widgets.long_text import DetailPane
from seal_console.console.widgets.paged_table import PagedTable
from seal_console.console.widgets.plots import RoundsPlot
from seal_console.engine_control import give_up_round
from seal_console.queries.exports import candidates_table, rounds_table
from seal_console.queries.now import RoundPoint
from seal_console.queries.rounds import (
    RankedCandidate,
    RoundLine,
    edited_candidates,
    kept_ids,
    ranked_rows,
    ranking,
    round_facts,
    round_lines,
)
from store.lock import lock_owner
from store.version_rows import list_policy_versions
from store.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlite_utils import Database
    from textual.app import ComposeResult

    from seal_console.console.widgets.table_columns import Row
    from seal_console.table_files import TableExport
    from store.records import PolicyVersion


class RoundsScreen(TableScreen):
    """Two tables: the rounds by number, and the candidates of the one under the cursor by their row."""

    NAME = "rounds"
    HELP = (
        "Every round, the newest first. Enter goes to its candidates, the best first; "
        "enter there opens one in the review. ✓ and ✗ show whether the new policy was kept; ✓ after a "
        "reward marks self-edits that the policy was trained on."
    )
    AUTO_FOCUS = "#rounds"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("X", "give_up", "Give up the round", show=False, id="rounds.give_up", tooltip="if interrupted"),
        Binding("escape", "to_rounds", "Back to the rounds", show=False, id="rounds.back"),
        *TABLE_KEYS,
    ]
    DEFAULT_CSS = """
    RoundsScreen #rounds { height: 3fr; }
    RoundsScreen #lower { height: 7fr; }
    RoundsScreen #report { width: 1fr; height: 1fr; }
    RoundsScreen #right { width: 1fr; }
    RoundsScreen #candidates { height: 1fr; }
    RoundsScreen #plot { height: 14; display: none; }
    RoundsScreen.-tall #plot { display: block; }
    RoundsScreen.-narrow #plot { display: none; }
    RoundsScreen.-narrow #lower { layout: vertical; height: 3fr; }
    RoundsScreen.-narrow #rounds { height: 1fr; }
    RoundsScreen.-narrow #report { height: 3fr; }
    RoundsScreen.-narrow #right { width: 1fr; height: 2fr; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._lines: dict[int, RoundLine] = {}
        self._policies: list[PolicyVersion] = []
        self._shown: int | None = None
        self._places: dict[int, int] = {}
        self._ranked_again = 0
        self._kept: frozenset[str] = frozenset()
        self._ranking: tuple[tuple[int, ...], dict[int, int]] = ((), {})

    def body(self) -> ComposeResult:
        """The rounds above; below, the report on one of them and its candidates."""
        yield PagedTable(ROUND_COLUMNS, self._round_rows, id="rounds", empty="No round has run yet: ctrl+r runs one.")
        yield Static(id="status", classes="status")
        with Horizontal(id="lower"):
            yield DetailPane("Round", id="report")
            with Vertical(id="right"):
                yield PagedTable(RANKED_COLUMNS, self._candidate_rows, id="candidates", empty="No candidates yet.")
                yield RoundsPlot(id="plot", classes="panel")

    @property
    def rounds(self) -> PagedTable:
        """The upper table."""
        return self.query_one("#rounds", PagedTable)

    @property
    def candidates(self) -> PagedTable:
        """The lower table."""
        return self.query_one("#candidates", PagedTable)

    async def load(self) -> None:
        """Read all rounds, and rank the candidates of the one under the cursor again."""
        self._shown = None
        await self._read(reread=True)
        self.new_rows = 0
        self.rounds.show(list(self._lines))
        self._show_status()

    async def store_changed(self) -> None:
        """Read the rounds that can have changed; count new ones; keep the order of candidates."""
        await self._read()
        self.new_rows = len(self._lines.keys() - set(self.rounds.keys))
        self.rounds.refetch()
        await self._show_report()
        self._show_status()

    async def show_detail(self, key: int | None) -> None:
        """Show the report of a round and its candidates."""
        if key is None:
            return
        if key != self._shown:
            places = await self._rank_round(key)
            self._shown, self._places, self._ranked_again = key, places, 0
            self.candidates.show(list(self._places), keep=False)
        await self._show_report()
        self._show_status()

    @on(PagedTable.RowHighlighted, "#candidates")
    def stay(self, event: PagedTable.RowHighlighted) -> None:
        """The report is about the round; moving among its candidates changes nothing in it."""
        event.prevent_default()

    @on(PagedTable.RowOpened, "#rounds")
    def go_to_candidates(self) -> None:
        """Let the keys move among the round's candidates."""
        self.candidates.focus()

    @on(PagedTable.RowOpened, "#candidates")
    def open_candidate(self, event: PagedTable.RowOpened) -> None:
        """Show the candidate in the review."""
        row = self._ranked([event.key]).get(event.key)
        if row is not None:
            self.post_message(ShowCandidate(row.id))

    def action_to_rounds(self) -> None:
        """Go back to the rounds."""
        self.rounds.focus()

    def action_give_up(self) -> None:
        """Confirm, then give up the round under the cursor if it is interrupted."""
        start_work(self, partial(self.loaded, self._give_up), group="ask")

    async def _give_up(self) -> None:
        console, line = self.console, self._lines.get(self._shown or 0)
        if line is None or line.imported or line.finished_at is not None:
            console.say("Only an unfinished round can be given up." if line else "No round has run yet.", "warning")
            return
        if lock_owner(console.workspace.lock_file) is not None:
            console.say("An engine is running: stop it first, with ctrl+x.", "warning")
            return
        number = line.number
        happens = (
            f"Round {number} ends as failed. {counted(line.candidates, 'candidate')} and their measurements stay.",
            "The next run begins a new round with the settings in seal.yaml, instead of resuming this one.",
            "It cannot be undone.",
            f'Command: seal-console rounds abandon {number} --reason "…"',
        )
        question = Confirmation(
            f"Give up round {number}?", happens, "Give it up", cancel="Keep it", reason="why (kept with the round)",
            reasons=tuple(console.reasons),
        )  # fmt: skip
        reason = await console.ask(question)
        if reason is None:
            return
        done = await console.act(
            f"give up round {number}",
            lambda workspace, db: give_up_round(workspace, db, number, console.actor, reason),
        )
        if done is not None:
            console.say(f"Round {number} is given up. ctrl+r begins a new one.")

    def table_export(self) -> TableExport | None:
        """Return the rounds, or the candidates of one if that table has the focus."""
        if self.candidates.has_focus and self._places:
            return candidates_table(self._shown or 0, self._places, self._kept)
        lines = [self._lines[number] for number in self.rounds.keys]
        return rounds_table(lines) if lines else None

    async def _read(self, *, reread: bool = False) -> None:
        known = {} if reread else self._lines
        settled = [one.number for one in known.values() if one.finished_at is not None]
        unsettled = [one.number for one in known.values() if one.finished_at is None]
        first = min(unsettled, default=max(settled, default=0))

        def read(db: Database) -> tuple[list[RoundLine], list[PolicyVersion]]:
            return round_lines(db, first), list_policy_versions(db)

        lines, self._policies = await self.console.reader.read(read)
        self._lines = dict(sorted({**known, **{one.number: one for one in lines}}.items(), reverse=True))

    async def _show_report(self) -> None:
        line = self._lines.get(self._shown or 0)
        if line is None:
            return

        facts = await self.console.reader.read(lambda db: round_facts(db, line))
        now = await self._rank_round(line.number)
        if line.number != self._shown:
            return
        same = now is self._places
        self._ranked_again = 0 if same else sum(self._places.get(key) != place for key, place in now.items())
        self._kept = kept_ids(facts.round)
        self.candidates.refetch()
        report = round_report(facts, list(self._lines.values())[::-1], self._policies)
        self.query_one("#report", DetailPane).show(report, line.number)

    async def _rank_round(self, number: int) -> dict[int, int]:
        """Rank a round's candidates; a finished round is ranked again only if its ranking can have changed."""
        (last, places), line = self._ranking, self._lines.get(number)
        finished = line is not None and line.finished_at is not None

        def read(db: Database) -> tuple[tuple[int, ...], dict[int, int]]:
            depends_on = (number, *edited_candidates(db)) if finished else ()
            return depends_on, places if finished and depends_on == last else ranking(db, number)

        self._ranking = await self.console.reader.read(read)
        return self._ranking[1]

    def _show_status(self) -> None:
        own = [one for one in self._lines.values() if not one.imported]
        imported = len(self._lines) - len(own)
        words = self.with_news(
            f"{self._ranked_again:,} ranked again · R shows them" if self._ranked_again else "",
            f"{len(own):,} {'round' if len(own) == 1 else 'rounds'}",
            f"{imported:,} imported" if imported else "",
            ""
            if self._shown is None
            else f"round {self._shown}: {counted(len(self._places), 'candidate')}, the best first",
        )
        self.query_one("#status", Static).update(safe_line(words))
        self.query_one(RoundsPlot).show([_point(one) for one in reversed(own)])

    def _round_rows(self, keys: Sequence[int]) -> dict[int, Row]:
        return {key: round_row(self._lines[key]) for key in keys if key in self._lines}

    def _candidate_rows(self, keys: Sequence[int]) -> dict[int, Row]:
        found = self._ranked(keys)
        return {key: ranked_row(one, self._places[key], kept=one.id in self._kept) for key, one in found.items()}

    def _ranked(self, keys: Sequence[int]) -> dict[int, RankedCandidate]:
        return self.console.reader.read_now(lambda db: ranked_rows(db, keys))


def _point(line: RoundLine) -> RoundPoint:
    return RoundPoint(
        line.number, line.state, line.candidates, line.mean_reward, line.best_reward, line.held_out_before,
        line.held_out_after,
    )  # fmt: skip
