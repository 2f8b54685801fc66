"""A reviewer's actions: each one asks, explains the effect, acts and reports."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from engine.loop.accept import accept_candidate
from seal_console.console.dialogs.choose import ChooseDialog
from seal_console.console.dialogs.confirm import Confirmation
from seal_console.console.dialogs.edit import EditDialog, SequencesDialog
from seal_console.engine_control import ask_to_reexamine
from seal_console.format import AFTER_UNDO, NOUN_OF_ACTION, gain, short_id
from seal_console.queries.exports import review_table
from seal_console.queries.queue import QueueRow, queue_rows
from store.candidate_states import ALLOWED_MOVES, STATE_OF_ACTION, require_move
from store.candidates import decisions_of, defer, get_candidate, reject
from store.errors import SealError
from store.saved_filters import delete_filter, list_filters, save_filter
from store.undoing import last_undoable, undo_last
from store.version_rows import list_versions, live_version
from store.version_tags import live_name, version_tag

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlite_utils import Database

    from seal_console.console.console_base import ConsoleBase
    from seal_console.console.screens.candidate_pane import CandidatePane
    from seal_console.console.widgets.paged_table import PagedTable
    from seal_console.queries.queue import QueueQuery
    from seal_console.table_files import TableExport
    from store.records import Candidate, CandidateState, DecisionAction, Version

_NAMED = 8
_PAGE = 500
_IMPORTED = "It is imported, so it cannot be decided on."


@dataclass(frozen=True, slots=True)
class _Outcome:
    """Outcome of a decision on several candidates: how many were decided, and why others were not."""

    done: int
    refused: tuple[str, ...]


class ReviewView(Protocol):
    """The review screen, as far as its actions need it."""

    @property
    def console(self) -> ConsoleBase: ...  # noqa: D102
    @property
    def table(self) -> PagedTable: ...  # noqa: D102
    @property
    def pane(self) -> CandidatePane: ...  # noqa: D102
    @property
    def query_now(self) -> QueueQuery: ...  # noqa: D102
    def put_filter(self, text: str) -> None: ...  # noqa: D102
    def go_on(self) -> None: ...  # noqa: D102


class DecisionFlows:
    """The flows of the review screen."""

    def __init__(self, screen: ReviewView) -> None:
        self._screen = screen

    async def accept(self) -> None:
        """Make the candidate under the cursor the live version."""
        console, rows = self._screen.console, self._decidable("accepted")
        if len(rows) > 1:
            console.say("Accept one at a time: each acceptance changes the parent of the next.", "warning")
            return
        if not rows:
            return
        row = rows[0]
        if row.older_parent:
            parent, live = live_name(row.live_version), (await console.reader.read(_live_and_next))[0]
            console.say(f"Trained on {parent}, but {live} is live: it cannot be accepted now.", "warning")
            return
        live, tag = await console.reader.read(_live_and_next)
        happens = (
            f"{row.title}: {row.beginning[:140]}",
            f"reward {gain(row.reward_mean, row.reward_std)}, audit {gain(row.audit_gain)}",
            *(["A gate requires your review: the section Gates shows why."] if row.needs_review else []),
            "",
            f"{tag} replaces {live} as live: one commit and one tag in {console.workspace.adapters_folder}.",
            f"To reverse it, roll back to {live}. Undo does not apply to acceptances.",
            f'Command: seal-console review accept {short_id(row.id)} --reason "…"',
        )
        reason = await self._ask(f"Accept this self-edit as {tag}?", happens, "Accept")
        if reason is None:
            return
        version: Version | None = await console.act(
            f"accept {short_id(row.id)}",
            lambda workspace, db: accept_candidate(workspace, db, row.id, actor=console.actor, reason=reason),
        )
        if version is not None:
            console.say(f"{version.tag} is live: commit {version.commit[:12]}. 3 shows the versions.")
            self._screen.go_on()

    async def reject(self) -> None:
        """Reject the marked candidates, else the one under the cursor."""
        await self._decide("reject", "Reject", "rejected", reject)

    async def defer(self) -> None:
        """Defer the marked candidates, else the one under the cursor."""
        await self._decide("defer", "Defer", "deferred", defer)

    async def undo(self) -> None:
        """Undo the operator's last decision if that is possible; otherwise say why not."""
        console = self._screen.console
        try:
            found = await console.reader.read(lambda db: last_undoable(db, console.actor))
        except SealError as error:
            console.show_error(error)
            return
        happens = (
            (
                f"Your {NOUN_OF_ACTION[found.decision.action]} of {short_id(found.candidate.id)} at "
                f"{found.decision.decided_at[:19].replace('T', ' ')}: "
                f"{found.decision.reason}"
            ),
            f"After that the candidate {AFTER_UNDO[found.state_before]}. Both decisions stay in the record.",
            "Command: seal-console review undo",
        )
        question = Confirmation("Undo your last decision?", happens, "Undo it")
        if await console.ask(question) is None:
            return
        undone = await console.act("undo", lambda _, db: undo_last(db, console.actor))
        if undone is not None:
            console.say(f"Undone: candidate {short_id(undone.candidate.id)} {AFTER_UNDO[undone.candidate.state]}.")
            self._screen.table.refetch()

    async def edit(self) -> None:
        """Change the text here."""
        candidate = self._candidate()
        if candidate is None:
            return
        text = await self._screen.console.push_screen_wait(
            EditDialog(f"Edit {short_id(candidate.id)}", candidate.completion)
        )
        await self._reexamine(candidate, {"completion": text}, wanted=text is not None)

    async def edit_outside(self) -> None:
        """Change the text in $EDITOR; the console waits for it."""
        candidate = self._candidate()
        if candidate is None:
            return
        if self._screen.console.in_browser:
            self._screen.console.say("There is no editor in a browser; e edits here.", "warning")
            return
        editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
        if not editor:
            self._screen.console.say("Neither VISUAL nor EDITOR is set; e edits here.", "warning")
            return
        try:
            with self._screen.console.suspend():
                text = edit_in_program(shlex.split(editor), candidate.completion)
        except OSError as error:
            self._screen.console.say(f"{editor} cannot be started: {error.strerror}", "error")
            return
        changed = text is not None and text != candidate.completion
        if not changed:
            self._screen.console.say("No changes.")
        await self._reexamine(candidate, {"completion": text}, wanted=changed)

    async def sequences(self) -> None:
        """Switch training sequences off."""
        candidate = self._candidate()
        if candidate is None:
            return
        title = f"Training sequences of {short_id(candidate.id)}"
        off = await self._screen.console.push_screen_wait(SequencesDialog(title, candidate.sequences))
        await self._reexamine(candidate, {"off": off}, wanted=bool(off))

    async def saved_filters(self) -> None:
        """Choose a saved filter; save the one that is set, or delete one."""
        console, screen = self._screen.console, self._screen
        saved = await console.reader.read(lambda db: list_filters(db, "review"))
        chosen = await console.push_screen_wait(
            ChooseDialog("Saved filters", [(one.name, one.text) for one in saved], new=screen.query_now.text)
        )
        if chosen is None:
            return
        action, name = chosen
        if action == "use":
            text = next(one.text for one in saved if one.name == name)
            screen.put_filter(text)
        elif action == "save":
            text = screen.query_now.text
            saving = await console.act(
                "save a filter", lambda _, db: save_filter(db, name, "review", text, console.actor)
            )
            if saving is not None:
                console.say("The filter is saved.")
        else:
            await console.act("delete a filter", lambda _, db: delete_filter(db, name))

    def table_export(self) -> TableExport | None:
        """Return the rows of the queue."""
        keys = list(self._screen.table.keys)
        return review_table(keys) if keys else None

    async def _decide(
        self, name: DecisionAction, words: str, past: str, decide: Callable[[Database, str, str, str], Candidate]
    ) -> None:
        console, rows = self._screen.console, self._decidable(STATE_OF_ACTION[name])
        if not rows:
            return
        many = f"{len(rows):,} self-edits" if len(rows) > 1 else "this self-edit"
        happens = [f"{short_id(row.id)}  {row.title}: {row.beginning[:60]}" for row in rows[:_NAMED]]
        happens += [f"… and {len(rows) - _NAMED:,} more"] if len(rows) > _NAMED else []
        happens += ["", "u undoes the last one." if len(rows) > 1 else "u undoes it."]
        happens += [f'Command: seal-console review {name} {short_id(rows[0].id)} --reason "…"']
        reason = await self._ask(f"{words} {many}?", tuple(happens), words)
        if reason is None:
            return
        ids = [row.id for row in rows]
        outcome = await console.act(
            f"{name} {len(ids):,}", lambda _, db: _decide_each(ids, lambda one: decide(db, one, console.actor, reason))
        )
        if outcome is None:
            return
        if outcome.refused:
            console.say("\n".join(outcome.refused[:_NAMED]), "warning")
        if outcome.done:
            console.say(f"{outcome.done:,} {past}. u undoes {'the last one' if outcome.done > 1 else 'it'}.")
        self._screen.go_on()

    async def _ask(self, title: str, happens: tuple[str, ...], confirm: str) -> str | None:
        console = self._screen.console
        return await console.ask(
            Confirmation(title, happens, confirm, reason="reason (kept with the decision; ↑ earlier ones)",
                     reasons=tuple(console.reasons))
        )  # fmt: skip

    async def _reexamine(self, candidate: Candidate, payload: dict[str, Any], *, wanted: bool) -> None:
        if not wanted:
            return
        console = self._screen.console
        asked = await console.act(
            f"re-examine {short_id(candidate.id)}",
            lambda workspace, db: ask_to_reexamine(
                workspace, db, {"candidate": candidate.id, **payload}, console.actor, console.start_engine
            ),
        )
        if asked is not None:
            console.say("Added a job; the engine evaluates it as a new candidate, marked ✎.")

    def _candidate(self) -> Candidate | None:
        if self._screen.console.read_only:
            self._screen.console.say("This console is read-only.", "warning")
            return None
        shown = self._screen.pane.shown
        if shown is None:
            return None
        if shown.whole.candidate.imported:
            self._screen.console.say(_IMPORTED, "warning")
            return None
        return shown.whole.candidate

    def _decidable(self, target: CandidateState) -> list[QueueRow]:
        """Return the chosen rows that may become `target`; report why the others may not."""
        rows = self._chosen()
        fitting = [row for row in rows if not row.imported and target in ALLOWED_MOVES[row.state]]
        left_out = [row for row in rows if row not in fitting]
        if left_out:
            why = self._screen.console.reader.read_now(lambda db: _why_not(db, left_out[0], target))
            many = f"{len(left_out):,} of {len(rows):,} cannot be {target} and are left out. The first: "
            self._screen.console.say((many if len(rows) > 1 else "") + why, "warning")
        return fitting

    def _chosen(self) -> list[QueueRow]:
        keys = self._screen.table.chosen()
        rows = self._screen.console.reader.read_now(lambda db: _in_order(db, keys[:_PAGE]))
        if len(keys) > _PAGE:
            self._screen.console.say(f"Only the first {_PAGE} marked candidates are decided at once.", "warning")
        return rows


def _why_not(db: Database, row: QueueRow, target: CandidateState) -> str:
    if row.imported:
        return _IMPORTED
    try:
        require_move(get_candidate(db, row.id), target, decisions_of(db, row.id))
    except SealError as error:
        return error.message
    return "Someone else has just decided on it."


def edit_in_program(command: Sequence[str], text: str) -> str | None:
    """Edit a text in a program; None if it failed. Raises OSError if it cannot be started."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "self-edit.txt"
        path.write_text(text, encoding="utf-8")
        finished = subprocess.run([*command, str(path)], check=False)
        return path.read_text(encoding="utf-8", errors="replace").rstrip("\n") if finished.returncode == 0 else None


def _decide_each(ids: Sequence[str], decide: Callable[[str], Candidate]) -> _Outcome:
    done, refused = 0, []
    for one in ids:
        try:
            decide(one)
            done += 1
        except SealError as error:
            refused.append(f"{short_id(one)}: {error.message}")
    return _Outcome(done, tuple(refused))


def _live_and_next(db: Database) -> tuple[str, str]:
    newest = max((version.number for version in list_versions(db)), default=0)
    return live_name(live_version(db)), version_tag(newest + 1)


def _in_order(db: Database, keys: Sequence[int]) -> list[QueueRow]:
    found = queue_rows(db, keys) if keys else {}
    return [found[key] for key in keys if key in found]
