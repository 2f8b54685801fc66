"""Before anything is trained: policy.yaml's rules judge every candidate, and a judge those that no rule denies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.judge.desk import JudgeDesk
from engine.rules.desk import judge_candidates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.rules.desk import Judged
    from engine.session import Session
    from store.records import Candidate, Task


def screen(session: Session, candidates: Sequence[Candidate], tasks: Sequence[Task]) -> Judged:
    """Return candidates as they stand after rules and judge have spoken, and the verdicts on those that may be trained.

    Raises WrongUseError where the judge's key is not there, JudgeUnreachableError where a round is to stop without it.
    """
    judge = JudgeDesk(session, "every")
    return judge_candidates(session.db, session.rules, candidates, tasks, judge.verdicts)
