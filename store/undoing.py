"""Undoes one's own last decision: a rejection or a deferral. An acceptance is a commit and is not undone here.

The decision stays in the record, followed by a second one, "undo".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from store.candidate_states import decided_state, decisions_in_force
from store.candidates import decisions_of, get_candidate, set_state
from store.clock import utc_now
from store.database import fetch, transaction
from store.errors import NothingToDoError, WrongUseError
from store.events import append_event
from store.records import Decision
from store.rows import select, to_row
from store.version_tags import version_tag

if TYPE_CHECKING:
    from sqlite_utils import Database

    from store.records import Candidate, CandidateState


@dataclass(frozen=True, slots=True)
class UndoableDecision:
    """A decision that can be undone, and the state of its candidate afterwards."""

    candidate: Candidate
    decision: Decision
    state_before: CandidateState


@dataclass(frozen=True, slots=True)
class UndoResult:
    """An undone decision: the candidate as it is now, the decision, and the "undo" that reverses it."""

    candidate: Candidate
    undone: Decision
    decision: Decision


def last_undoable(db: Database, actor: str) -> UndoableDecision:
    """Return what `undo_last` would undo; raises what it would raise."""
    decision, about_it = _newest_in_force(db, actor)
    if about_it[-1] != decision:
        later = about_it[-1]
        raise WrongUseError(
            f"The last decision of {actor} ({decision.action} of candidate {decision.candidate_id}) cannot be "
            f"undone: {later.actor} has decided since ({later.action} at {later.decided_at}: {later.reason}).",
            next_step=f"seal-console review show {decision.candidate_id}",
        )
    if decision.action == "accept":
        raise _commit_stays(db, decision)
    candidate = get_candidate(db, decision.candidate_id)
    return UndoableDecision(candidate, decision, decided_state(about_it[:-1], "examined"))


def undo_last(db: Database, actor: str, reason: str = "") -> UndoResult:
    """Undo the newest decision of `actor` that is in force; the candidate returns to its state before it.

    Raises NothingToDoError if there is none, WrongUseError if it is an acceptance or if someone else has decided on the
    candidate since.
    """
    with transaction(db):
        found = last_undoable(db, actor)
        undone = found.decision
        words = f"undoes {undone.action} of {undone.decided_at}"
        words += f": {reason.strip()}" if reason.strip() else ""
        undo = Decision(found.candidate.id, "undo", actor, words, utc_now())
        set_state(db, undo.candidate_id, found.state_before, undo)
        append_event(db, "candidate.undone", {"decision": to_row(undo), "state": found.state_before})
    return UndoResult(replace(found.candidate, state=found.state_before), undone, undo)


def _newest_in_force(db: Database, actor: str) -> tuple[Decision, list[Decision]]:
    """Return the newest decision of `actor` that is not undone, and all decisions in force on its candidate."""
    sql = (  # a candidate without a prompt was purged: nothing of it could be decided about again
        "SELECT decisions.* FROM decisions JOIN candidates ON candidates.id = candidate_id "
        "WHERE actor = ? AND action <> 'undo' AND prompt <> '' ORDER BY decisions.id DESC"
    )
    for decision in select(db, Decision, sql, (actor,)):
        about_it = decisions_in_force(decisions_of(db, decision.candidate_id))
        if decision in about_it:
            return decision, about_it
    raise NothingToDoError(f"{actor} has no decision to undo.", next_step="seal-console review list")


def _commit_stays(db: Database, decision: Decision) -> WrongUseError:
    sql = "SELECT tag, parent_number FROM versions WHERE candidate_id = ?"
    (version,) = fetch(db, sql, (decision.candidate_id,))
    parent = version_tag(version["parent_number"] or 0)
    return WrongUseError(
        f"The last decision of {decision.actor} accepted {version['tag']}. "
        "An acceptance is a commit: it cannot be undone.",
        next_step=f'seal-console versions rollback {parent} --reason "…" makes the previous version live again.',
    )
