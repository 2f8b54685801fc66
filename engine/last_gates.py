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
        found = {one.candidate_id: self._judged(one) for one in updated}
        left = [one for one in updated if not any(gate.stops for gate in found[one.candidate_id])]
        for desk in (self._red_team, self._retention):
            for candidate_id, gates in desk.verdicts(left).items():
                found[candidate_id] += gates
        return found

    def _judged(self, updated: Updated) -> list[GateResult]:
        if updated.task is None:
            return []
        return self._judge.verdicts(get_candidate(self._session.db, updated.candidate_id), updated.task)
