"""The read model of the review queue: which candidates wait for a decision, the best first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from store.candidates import list_candidates
from store.tasks import list_tasks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlite_utils import Database

    from store.records import Candidate, CandidateState

WAITING: tuple[CandidateState, ...] = ("examined", "deferred")


@dataclass(frozen=True, slots=True)
class QueuedCandidate:
    """A candidate with its task's title."""

    candidate: Candidate
    title: str


def review_queue(
    db: Database, states: Sequence[CandidateState], *, round_number: int | None = None, imported: bool = False
) -> list[QueuedCandidate]:
    """Return the candidates in these states, highest reward first; of equal rewards the one with the lower spread."""
    titles = {listed.task.id: listed.task.title for listed in list_tasks(db)}
    found = [
        candidate
        for state in states
        for candidate in list_candidates(db, round_number=round_number, state=state, imported=imported)
    ]
    return [QueuedCandidate(candidate, titles[candidate.task_id]) for candidate in sorted(found, key=_rank)]


def _rank(candidate: Candidate) -> tuple[float, float, str]:
    reward = float("-inf") if candidate.reward_mean is None else candidate.reward_mean
    return -reward, candidate.reward_std or 0.0, candidate.id
