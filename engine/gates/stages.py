"""Before anything is trained: guardrails.yaml's rules judge every candidate, and a judge those that no rule denies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.gates.guardrails import judge_candidates
from engine.gates.judge import JudgeGate
from engine.gates.red_team import RedTeamGate
from engine.gates.retention import RetentionGate
from store.candidates import get_candidate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.gates.guardrails import ScreeningResult
    from engine.gates.retention import GateSubject
    from engine.lora.adapter import Adapter
    from engine.session import Session
    from store.records import Candidate, GateResult, Task


def screen(session: Session, candidates: Sequence[Candidate], tasks: Sequence[Task]) -> ScreeningResult:
    """Return candidates as they stand after rules and judge have spoken, and the verdicts on those that may be trained.

    Raises WrongUseError where the judge's key is not there, JudgeUnreachableError where a round is to stop without it.
    """
    judge = JudgeGate(session, "every")
    return judge_candidates(session.db, session.rules, candidates, tasks, judge.verdicts)


class PostTrainingGates:
    """The last gates of candidates that were trained from one version."""

    def __init__(self, session: Session, live: Adapter | None, live_version: int | None) -> None:
        """Raises WrongUseError, with every problem, where a suite cannot be read or a judge's key is not there."""
        self._session = session
        self._judge = JudgeGate(session, "kept")
        self._red_team = RedTeamGate(session, live, live_version)
        self._retention = RetentionGate(session, live, live_version)

    def verdicts(self, updated: Sequence[GateSubject]) -> dict[str, list[GateResult]]:
        """Return the verdicts on each candidate by its id."""
        found = self._judged(updated)
        left = [one for one in updated if not any(gate.stops for gate in found[one.candidate_id])]
        for desk in (self._red_team, self._retention):
            for candidate_id, gates in desk.verdicts(left).items():
                found[candidate_id] += gates
        return found

    def _judged(self, updated: Sequence[GateSubject]) -> dict[str, list[GateResult]]:
        """Return the judge's verdicts, empty for what has no task of its own."""
        db = self._session.db
        asked = [(get_candidate(db, one.candidate_id), one.task) for one in updated if one.task is not None]
        judged = zip(asked, self._judge.verdicts(asked), strict=True)
        return {one.candidate_id: [] for one in updated} | {candidate.id: gates for (candidate, _), gates in judged}
