"""The two selection methods that the experiment compares: the product's, and self-training as SRT does it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.alarms.measures import majority_answers
from engine.graders.text_form import comparable
from engine.loop.select import ScoredCandidate, Selection, SelectionMethod, may_be_reinforced, select
from store.candidates import answers_of, gates_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlite_utils import Database

    from engine.settings.sections import RoundSettings
    from store.records import Candidate, Task


def _by_agreement(
    db: Database,
    _base: Mapping[str, Any],
    settings: RoundSettings,
    candidates: Sequence[Candidate],
    tasks: Sequence[Task],
) -> Selection:
    """Keep the candidates of each task that agree most with the majority of the task's candidates."""
    asked = {question.id for task in tasks for question in task.questions if question.split == "reward"}
    rewards = self_labelled_rewards(_votes(db, candidates, asked))
    rows = [
        ScoredCandidate(one.id, one.task_id, one.position, rewards[one.id], 0.0, ())
        for one in candidates
        if one.id in rewards and may_be_reinforced(gates_of(db, one.id), "paper")
    ]
    return select(rows, mode="best-k", best_k=settings.best_k, threshold=0.0)


def _votes(db: Database, candidates: Sequence[Candidate], asked: set[str]) -> Iterator[Vote]:
    for candidate in candidates:
        for answer in answers_of(db, candidate.id):
            if answer.phase == "after" and answer.question_id in asked:
                yield Vote(candidate.id, answer.question_id, answer.text)


# SRT has no measured reward that a new policy could be compared with, so every policy that it trains is kept.
SELF_LABELLED = SelectionMethod(_by_agreement, policy_must_be_better=False)


@dataclass(frozen=True, slots=True)
class Vote:
    """One answer of one candidate."""

    candidate_id: str
    question_id: str
    text: str


def self_labelled_rewards(votes: Iterable[Vote]) -> dict[str, float]:
    """Return, for each candidate, the share (0 … 1) of its answers that are the majority's."""
    cast = list(votes)
    majority = majority_answers((vote.question_id, vote.text) for vote in cast)
    agreed: dict[str, list[bool]] = defaultdict(list)
    for vote in cast:
        agreed[vote.candidate_id].append(comparable(vote.text) == majority[vote.question_id])
    return {candidate_id: sum(of_candidate) / len(of_candidate) for candidate_id, of_candidate in agreed.items()}
