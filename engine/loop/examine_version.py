"""The whole retention exam of one version: against the base, and against its parent as the gates would judge it.

It changes no state: only answers and drift are recorded, so that no round asks for them again.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from engine.exams.recorded import ModelRef, question_answers
from engine.gates.retention import GateSubject, RetentionGate
from engine.retention.earlier import edits_in, lineage
from engine.runtime.progress import Progress
from store.answers import model_state, recorded_answers
from store.errors import NothingToDoError
from store.version_rows import get_version

if TYPE_CHECKING:
    from engine.session import Session
    from store.records import GateResult


def examine_version(session: Session, number: int | None) -> dict[str, Any]:
    """Examine a version, None for the base alone; returns verdicts against its parent and against the base.

    Raises WrongUseError where there is no such version or a suite cannot be read, NothingToDoError where there is no
    suite, no anchor and no earlier edit.
    """
    session = _with_gates(session)
    parent = None if number is None else get_version(session.db, number).parent_number
    subject = _subject(session, number)
    session.report(Progress("exam", 0, 0, note=f"Examining {subject.state.name} for what it keeps."))
    against_base = _verdicts(session, None, subject)
    against_parent = against_base if parent is None else _verdicts(session, parent, subject)
    if not against_parent:
        raise NothingToDoError(
            "There is nothing to examine: no suite and no anchor in retention/, and no earlier edit.",
            next_step="Write a suite (docs/retention.md), then: seal-console retention check",
        )
    return {
        "version": subject.state.name,
        "parent": model_state(session.db, parent).name,
        "against_parent": [_as_data(gate) for gate in against_parent],
        "against_base": [_as_data(gate) for gate in against_base],
        "stopped": not all(gate.passed for gate in against_parent),
    }


def _with_gates(session: Session) -> Session:
    """Return the session under settings that judge, also where rounds are told not to look at retention."""
    retention = session.settings.retention
    if retention.gate is not None:
        return session
    judging = retention.model_copy(update={"gate": "each"})
    return session.under(session.settings.model_copy(update={"retention": judging}))


def _subject(session: Session, number: int | None) -> GateSubject:
    state = model_state(session.db, number)
    task = None if number is None else edits_in(session.db, [get_version(session.db, number)])[0].task
    return GateSubject(state.name, task, session.live_adapter(number), state)


def _verdicts(session: Session, before: int | None, subject: GateSubject) -> list[GateResult]:
    desk = RetentionGate(session, session.live_adapter(before), before)
    return desk.verdicts([subject])[subject.candidate_id]


def _as_data(gate: GateResult) -> dict[str, Any]:
    kept = asdict(gate)
    return {key: kept[key] for key in ("gate", "passed", "evidence")}


# Adapters whose weights are in memory at once, and answer in one mixed batch.
_VERSIONS_AT_ONCE = 8


def fill_matrix(session: Session, version: int | None) -> int:
    """Ask what is not recorded; returns how many answers are new."""
    db = session.db
    line = lineage(db, version)
    questions = {question.id: question for edit in edits_in(db, line) for question in edit.task.questions}
    numbers = [None, *(one.number for one in line)]
    new = 0
    for start in range(0, len(numbers), _VERSIONS_AT_ONCE):
        part = numbers[start : start + _VERSIONS_AT_ONCE]
        session.report(Progress("exam", start, len(numbers), "versions"))
        states = [model_state(db, number) for number in part]
        known = sum(len(recorded_answers(db, list(questions), state, session.base.fingerprint)) for state in states)
        examinees = [ModelRef(state, session.live_adapter(number)) for state, number in zip(states, part, strict=True)]
        new += sum(map(len, question_answers(session, list(questions.values()), examinees))) - known
    session.report(Progress("exam", len(numbers), len(numbers), "versions"))
    return new
