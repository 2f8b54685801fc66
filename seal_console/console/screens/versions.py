"""The versions: which came from which, the card of one, two of them compared, and the way back."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from seal_console.console.content import safe_line
from seal_console.console.dialogs.confirm import Confirmation
from seal_console.console.dialogs.modal import TextDialog
from seal_console.console.runtime import start_work
from seal_console.console.screens.base import ShowCandidate
from seal_console.console.screens.table_screen import TABLE_KEYS, TableScreen
from seal_console.console.screens.version_card import (
    card_command,
    checkout_command,
    policy_card,
    policy_row,
    version_card,
    version_columns,
    version_row,
)
from seal_console.console.screens.version_comparison_text import comparison_text
from seal_console.console.widgets.long_text import DetailPane
from seal_console.console.widgets.paged_table import PagedTable
from seal_console.queries.exports import versions_table
from seal_console.queries.version_comparison import compare_versions
from seal_console.queries.versions import ROOT, History, VersionLine, draw_graph, history, policy_facts, version_facts
from store.version_tags import live_name, policy_tag, version_tag
from store.versions import rollback

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult
    from textual.content import Content

    from seal_console.console.widgets.table_columns import Row
    from seal_console.table_files import TableExport
    from store.records import PolicyVersion

_TEXT_DIALOG = 100


class VersionsScreen(TableScreen):
    """Keys of the table: a version's own number, and a policy's number below zero."""

    NAME = "versions"
    HELP = (
        "Every accepted version with its parents, the newest first, then the policies. Press m on two to "
        "compare them. ctrl+b or f8 makes the version under the cursor live; nothing is ever deleted."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("m", "mark", "Mark", id="versions.mark", tooltip="mark it for a comparison"),
        Binding(
            "c", "compare", "Compare", id="versions.compare", tooltip="the marked version and the one under the cursor"
        ),
        Binding(
            "ctrl+b,f8", "rollback", "Roll back", id="versions.rollback", tooltip="make this version live; asks first"
        ),
        Binding("y", "copy", "Copy git", id="versions.copy", tooltip="the git command that makes this version live"),
        *TABLE_KEYS,
    ]
    DEFAULT_CSS = """
    VersionsScreen #left { width: 11fr; }
    VersionsScreen #card { width: 9fr; height: 1fr; }
    VersionsScreen #table { height: 1fr; }
    VersionsScreen.-narrow #columns { layout: vertical; }
    VersionsScreen.-narrow #left { width: 1fr; height: 2fr; }
    VersionsScreen.-narrow #card { width: 1fr; height: 3fr; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._versions: dict[int, VersionLine] = {}
        self._policies: dict[int, PolicyVersion] = {}
        self._graph: dict[int, str] = {}
        self._looked_for: int | None = None

    def body(self) -> ComposeResult:
        """Lay out the list and the card next to it."""
        with Horizontal(id="columns"):
            with Vertical(id="left"):
                yield Static(id="status", classes="status")
                yield PagedTable(version_columns(1), self._rows, id="table")
            yield DetailPane("Card", id="card")

    @property
    def table(self) -> PagedTable:
        """The list."""
        return self.query_one("#table", PagedTable)

    async def load(self) -> None:
        """Read and show all versions and policies."""
        found = await self._read()
        self._graph = draw_graph({line.number: line.parent for line in found.versions})
        of_policies = draw_graph({policy.number: policy.parent_number for policy in found.policies})
        self._graph.update({-number: signs for number, signs in of_policies.items()})
        self.table.set_columns(version_columns(max(map(len, self._graph.values()), default=1)))
        self.table.show([*self._versions, *self._policies])
        self.new_rows = 0
        if self._looked_for is not None:
            number, self._looked_for = self._looked_for, None
            self.show_version(number)
        self._show_status()

    async def store_changed(self) -> None:
        """Update the pointers; count new versions."""
        before = self._versions, self._policies
        await self._read()
        if before == (self._versions, self._policies):
            return
        self.new_rows = len((self._versions.keys() | self._policies.keys()) - set(self.table.keys))
        self.table.refetch()
        self._show_status()
        await self.show_detail(self.table.key)

    def show_version(self, number: int) -> None:
        """Move the cursor to a version, now or as soon as it is read."""
        keys = list(self.table.keys) if self.is_mounted else []
        if number in keys:
            self.table.move_to(keys.index(number))
        else:
            self._looked_for = number

    async def detail(self, key: int) -> Content:
        """Read the card of a version or of a policy."""
        workspace = self.console.workspace
        if key < ROOT:
            policy = await self.console.reader.read(lambda db: policy_facts(workspace, db, -key))
            return policy_card(policy, workspace.adapters_folder)
        facts = await self.console.reader.read(lambda db: version_facts(workspace, db, key))
        return version_card(facts, workspace.adapters_folder)

    def table_export(self) -> TableExport | None:
        """Every version in the list; the policies are left out, having other columns."""
        lines = [self._versions[key] for key in self.table.keys if key in self._versions]
        return versions_table(lines) if lines else None

    @on(PagedTable.RowHighlighted)
    def note_marks(self) -> None:
        """Show the marks; the table's own key sets them too."""
        self._show_status()

    @on(PagedTable.RowOpened)
    def open_candidate(self, event: PagedTable.RowOpened) -> None:
        """Show the candidate that became the version."""
        line = self._versions.get(event.key)
        if line is not None and line.candidate_id is not None:
            self.post_message(ShowCandidate(line.candidate_id))
        else:
            self.console.say("This line has no candidate: only versions have.")

    def action_mark(self) -> None:
        """Mark a version, or compare it with the marked one; on the marked one, take the mark back."""
        table = self.table
        if table.key is None or table.key < ROOT:
            self.console.say("Only versions can be compared; this is a policy.", "warning")
        elif not table.marked:
            table.marked = {table.key}
        elif table.key in table.marked:
            table.unmark()
        else:
            self.action_compare()
        table.refresh()
        self._show_status()

    def action_compare(self) -> None:
        """Compare the marked version with the one under the cursor, or the two that are marked."""
        start_work(self, partial(self.loaded, self._compare), group="compare")

    async def _compare(self) -> None:
        chosen = [key for key in self.table.chosen() if key >= ROOT]
        key = self.table.key
        if len(chosen) == 1 and key is not None and key >= ROOT and key not in chosen:
            chosen.append(key)
        if len(chosen) != 2:  # noqa: PLR2004 - two are compared
            self.console.say("Mark one version with m, go to another, and press m there.", "warning")
            return
        first, second = sorted(chosen)
        workspace = self.console.workspace
        compared = await self.console.reader.read(lambda db: compare_versions(workspace, db, first, second))
        cells = min(_TEXT_DIALOG, self.app.size.width * 96 // 100) - 9
        title = f"{version_tag(first)} and {version_tag(second)} compared"
        await self.app.push_screen(TextDialog(title, comparison_text(compared, cells)))

    def action_rollback(self) -> None:
        """Ask, and make the version under the cursor live."""
        start_work(self, partial(self.loaded, self._rollback), group="ask")

    async def _rollback(self) -> None:
        number = self.table.key
        if number is None:
            return  # the versions are not read yet
        if number < ROOT:
            self.console.say("A policy writes self-edits; only versions go live.", "warning")
            return
        live = next((one.number for one in self._versions.values() if "live" in one.pointers), ROOT)
        tag = version_tag(number)
        if number == live:
            self.console.say(f"{tag} is live already.")
            return
        actor = self.console.actor
        reason = await self.console.ask(self._question(live, number))
        if reason is None:
            return
        moved = await self.console.act(
            f"roll back to {tag}", lambda workspace, db: rollback(workspace, db, number, actor, reason)
        )
        if moved is not None:
            self.console.say(f"{tag} is live now instead of {live_name(moved.from_version)}.")
            await self.store_changed()

    def _question(self, live: int, number: int) -> Confirmation:
        workspace, tag = self.console.workspace, version_tag(number)
        stays = (
            f"Nothing is deleted: {version_tag(live)} can be made live again the same way. "
            "Candidates trained on it cannot be accepted while another version is live."
        )
        return Confirmation(
            f"Roll live back to {tag}?" if number < live else f"Make {tag} live again?",
            (
                f"live moves from {live_name(live)} to {live_name(number)}, at once.",
                stays,
                f"With git: {checkout_command(workspace.adapters_folder, tag)}",
                f"Command: seal-console -w {workspace.root} versions rollback {tag} --reason …",
            ),
            f"Make {tag} live",
            reason="reason (kept with the move)",
            reasons=tuple(self.console.reasons),
            typed=tag,
            grave=True,
        )

    def action_copy(self) -> None:
        """Copy the git command that makes the version live, or that shows the policy."""
        key = self.table.key
        if key is None:
            return
        folder = self.console.workspace.adapters_folder
        command = checkout_command(folder, version_tag(key)) if key >= ROOT else card_command(folder, policy_tag(-key))
        self.app.copy_to_clipboard(command)
        self.console.say(f"Copied: {command}")

    async def _read(self) -> History:
        found = await self.console.reader.read(history)
        self._versions = {line.number: line for line in found.versions}
        self._policies = {-policy.number: policy for policy in found.policies}
        return found

    def _show_status(self) -> None:
        marked = sorted(key for key in self.table.marked if key >= ROOT)
        accepted = sum(key > ROOT for key in self.table.keys)
        mark = f"● {version_tag(marked[0])} marked, m on another compares" if marked else ""
        self.query_one("#status", Static).update(safe_line(self.with_news(f"{accepted:,} accepted", mark)))

    def _rows(self, keys: Sequence[int]) -> dict[int, Row]:
        rows: dict[int, Row] = {}
        for key in keys:
            if key in self._versions:
                rows[key] = version_row(self._versions[key], self._graph.get(key, ""))
            elif key in self._policies:
                newest = key == min(self._policies)
                rows[key] = policy_row(self._policies[key], self._graph.get(key, ""), newest=newest)
        return rows
