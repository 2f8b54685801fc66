"""What a trained candidate still has to pass once its own task's gates let it: judge, red team, retention.

What a judge stops is asked nothing more; red team and retention are both asked, so that a person sees all of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.judge.desk import JudgeDesk
from engine.retention.desk import RetentionDesk
from engine.rules.red_team_desk import RedTeamDesk
from store.candidates import get_candidate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.lora.adapter import Adapter
    from engine.retention.desk import Updated
    from engine.session import Session
    from store.records import GateResult


class LastGates:
    """The last gates of candidates that were trained from one version."""

    def __init__(self, session: Session, live: Adapter | None, live_version: int | None) -> None:
        """Raises WrongUseError, with every problem, where a suite cannot be read or a judge's key is not there."""
        self._session = session
        self._judge = JudgeDesk(session, "kept")
        self._red_team = RedTeamDesk(session, live, live_version)
        self._retention = RetentionDesk(session, live, live_version)

    def verdicts(self, updated: Sequence[Updated]) -> dict[str, list[GateResult]]:
        """Return the verdicts on each candidate by its id."""
        found = self._judged(updated)
        left = [one for one in updated if not any(gate.stops for gate in found[one.candidate_id])]
        for desk in (self._red_team, self._retention):
            for candidate_id, gates in desk.verdicts(left).items():
                found[candidate_id] += gates
        return found

    def _judged(self, updated: Sequence[Updated]) -> dict[str, list[GateResult]]:
        """Return the judge's verdicts, empty for what has no task of its own."""
        db = self._session.db
        asked = [(get_candidate(db, one.candidate_id), one.task) for one in updated if one.task is not None]
        judged = zip(asked, self._judge.verdicts(asked), strict=True)
        return {one.candidate_id: [] for one in updated} | {candidate.id: gates for (candidate, _), gates in judged}
