"""The gates before training: which candidates are worth an inner update, and the record of those that are refused."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.gates.gate import GateSubject
from engine.gates.stages import StageGates
from store.candidates import get_candidate, record_examined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.loop.session import Session
    from store.records import Candidate, GateResult, Task


@dataclass(frozen=True, slots=True)
class ScreenedCandidates:
    """Candidates after the gates before training, and the verdicts on those that may be trained, by id."""

    candidates: list[Candidate]
    verdicts: dict[str, list[GateResult]]


def screen_candidates(session: Session, candidates: Sequence[Candidate], tasks: Sequence[Task]) -> ScreenedCandidates:
    """Ask the gates before training about every proposed candidate; record those that are refused."""
    db, task_by_id = session.db, {task.id: task for task in tasks}
    current = [get_candidate(db, candidate.id) for candidate in candidates]
    live_version = current[0].live_version if current else None
    gates = StageGates(session.gate_context(None, live_version), "before training")
    subjects = [GateSubject(one.id, one, task_by_id[one.task_id]) for one in current if one.state == "proposed"]
    after = {one.id: one for one in current}
    verdicts: dict[str, list[GateResult]] = {}
    with closing(gates.check(subjects)) as answers:
        for subject, found in answers:
            if any(gate.stops for gate in found):
                after[subject.id] = refuse_candidate(session, subject.id, found)
            else:
                verdicts[subject.id] = found
    return ScreenedCandidates([after[one.id] for one in current], verdicts)


def refuse_candidate(session: Session, candidate_id: str, gates: Sequence[GateResult]) -> Candidate:
    """Record a candidate that has no exam: it has gates, and no figures."""
    return record_examined(
        session.db,
        candidate_id,
        updates=[],
        answers=[],
        gates=gates,
        reward_mean=None,
        reward_std=None,
        audit_gain=None,
        adapter_hash=None,
    )
