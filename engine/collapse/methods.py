"""The two methods that the experiment compares: the product's, and self-training as SRT does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.collapse.majority import Vote, self_labelled_rewards
from engine.method import Method
from engine.selection import Scored, Selection, may_be_reinforced, select
from store.candidates import answers_of, gates_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.session import Session
    from store.records import Candidate, Task


def _by_agreement(session: Session, candidates: Sequence[Candidate], tasks: Sequence[Task]) -> Selection:
    """Keep the candidates of each task that agree most with the majority of the task's candidates."""
    asked = {question.id for task in tasks for question in task.questions if question.split == "reward"}
    rewards = self_labelled_rewards(_votes(session, candidates, asked))
    rows = [
        Scored(one.id, one.task_id, one.position, rewards[one.id], 0.0, ())
        for one in candidates
        if one.id in rewards and may_be_reinforced(gates_of(session.db, one.id), "paper")
    ]
    return select(rows, mode="best-k", best_k=session.settings.round.best_k, threshold=0.0)


def _votes(session: Session, candidates: Sequence[Candidate], asked: set[str]) -> Iterator[Vote]:
    for candidate in candidates:
        for answer in answers_of(session.db, candidate.id):
            if answer.phase == "after" and answer.question_id in asked:
                yield Vote(candidate.id, answer.question_id, answer.text)


# SRT has no examined reward that a new policy could be held against, so every policy that it trains is kept.
SELF_LABELLED = Method(_by_agreement, policy_must_be_better=False)
