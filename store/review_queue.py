"""The review queue: which candidates wait for a decision, the best first.

The command line and the console both read it here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from store.database import fetch, fetch_value
from store.ranking import rank_order
from store.records import Candidate, CandidateState
from store.rows import from_row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlite_utils import Database

WAITING_STATES: tuple[CandidateState, ...] = ("examined", "deferred")
_QUOTED_STATES = ", ".join(f"'{state}'" for state in WAITING_STATES)
WAITING_CONDITION = f"candidates.state IN ({_QUOTED_STATES}) AND candidates.imported = 0"

_REPEATS = "(SELECT count(*) FROM inner_updates WHERE inner_updates.candidate_id = candidates.id)"
# The spread of the reward over repeats; a single repeat has none. Of imported candidates no repeats are recorded.
KNOWN_SPREAD = f"CASE WHEN {_REPEATS} <> 1 THEN reward_std END"


@dataclass(frozen=True, slots=True)
class QueuedCandidate:
    """A candidate with its task's title, and the spread of its reward if there were several repeats."""

    candidate: Candidate
    title: str
    spread: float | None


def is_waiting(state: CandidateState, *, imported: bool) -> bool:
    """Return whether a candidate waits for a decision: it is measured, undecided or deferred, and not imported."""
    return state in WAITING_STATES and not imported


def on_older_parent(state: CandidateState, parent: int | None, live: int | None, *, imported: bool) -> bool:
    """Return whether a waiting candidate cannot be accepted because it was not trained on the live version."""
    return is_waiting(state, imported=imported) and parent != live


def count_waiting(db: Database) -> int:
    """Return how many candidates wait for a decision."""
    return int(fetch_value(db, f"SELECT count(*) FROM candidates WHERE {WAITING_CONDITION}"))  # noqa: S608


def review_queue(
    db: Database, states: Sequence[CandidateState], *, round_number: int | None = None, imported: bool = False
) -> list[QueuedCandidate]:
    """Return the candidates in these states, the best first."""
    marks = ", ".join("?" for _ in states)
    rows = fetch(
        db,
        "SELECT candidates.*, tasks.title AS task_title, "  # noqa: S608
        f"{KNOWN_SPREAD} AS spread "
        "FROM candidates JOIN tasks ON tasks.id = candidates.task_id "
        f"WHERE candidates.state IN ({marks}) AND candidates.imported = ? "
        f"AND candidates.round_number = coalesce(?, candidates.round_number) ORDER BY {rank_order()}",
        (*states, int(imported), round_number),
    )
    return [QueuedCandidate(from_row(Candidate, row), row["task_title"], row["spread"]) for row in rows]
