"""How a round is judged: which self-edits are kept, and whether the new policy must earn its place.

Rounds of a workspace always run by `MEASURED`; no setting offers anything else. An experiment may ask what another
method would come to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.reward import reward_of_answers
from engine.selection import Selection, may_be_reinforced, scored, select
from store.base_answers import base_answers
from store.candidates import answers_of, gates_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.session import Session
    from store.records import Candidate, Task


@dataclass(frozen=True, slots=True)
class Method:
    """What keeps self-edits, and whether a policy that is no better on held-out tasks is dropped."""

    select: Callable[[Session, Sequence[Candidate], Sequence[Task]], Selection]
    policy_must_be_better: bool


def _by_reward(session: Session, candidates: Sequence[Candidate], tasks: Sequence[Task]) -> Selection:
    """Selection over the reward split of what was examined, and may be reinforced."""
    settings = session.settings.round
    questions = {task.id: task.questions for task in tasks}
    state = "base" if candidates[0].live_version is None else f"v{candidates[0].live_version:04d}"
    rows = []
    for candidate in candidates:
        if candidate.reward_mean is None:
            continue
        if not may_be_reinforced(gates_of(session.db, candidate.id), settings.selection):
            continue
        ids = [question.id for question in questions[candidate.task_id] if question.split == "reward"]
        before = base_answers(session.db, ids, state, session.base.fingerprint, or_unknown=True).values()
        after = [answer for answer in answers_of(session.db, candidate.id) if answer.phase == "after"]
        reward = reward_of_answers(before, after, ids)
        rows.append(scored(candidate.id, candidate.task_id, candidate.position, reward))
    return select(rows, mode=settings.selection, best_k=settings.best_k, threshold=settings.threshold)


MEASURED = Method(_by_reward, policy_must_be_better=True)
