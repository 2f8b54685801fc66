"""Examinations of a version on request: what it keeps, what the forgetting matrix lacks, how it behaves.

They change no state: only answers and drift are recorded, so that no round asks for them again.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from engine.exams.exam import ModelRef
from engine.exams.noise import measure_noise
from engine.gates.gate import GateSubject
from engine.gates.retention import DriftGate, EarlierEditsGate, SuitesGate
from engine.guardrails.reading import read_guardrails
from engine.guardrails.red_team import grade_behaviour
from engine.retention.earlier import edits_in, lineage
from engine.retention.reading import read_retention
from engine.runtime.progress import Progress
from store.answers import model_state, recorded_answers
from store.errors import NothingToDoError
from store.version_rows import get_version

if TYPE_CHECKING:
    from engine.gates.gate import Gate
    from engine.guardrails.red_team import RedTeamPrompt
    from engine.loop.session import Session
    from store.records import GateResult, RetentionAnswer

# Adapters whose weights are in memory at once, and answer in one mixed batch.
_VERSIONS_AT_ONCE = 8
_RETENTION_GATES: tuple[type[Gate], ...] = (SuitesGate, EarlierEditsGate, DriftGate)


def examine_version(session: Session, number: int | None) -> dict[str, Any]:
    """Examine what a version keeps, None for the base; returns verdicts against its parent and against the base.

    The noise floor of each suite is measured first if it is not known.
    Raises WrongUseError if there is no such version or a suite cannot be read, NothingToDoError if there is no suite,
    no anchor and no earlier edit.
    """
    session = _with_gates_on(session)
    parent = None if number is None else get_version(session.db, number).parent_number
    subject = _subject(session, number)
    session.report(
        Progress("exam", 0, 0, note=f"Examining what {'the base' if number is None else subject.id} still answers.")
    )
    measure_noise(session.examiner, read_retention(session.workspace).suites, session.report)
    against_base = _verdicts(session, None, subject)
    against_parent = against_base if parent is None else _verdicts(session, parent, subject)
    if not against_parent:
        raise NothingToDoError(
            "There is nothing to examine: retention/ has no suite and no anchors, and there is no earlier edit.",
            next_step="Write a suite (docs/retention.md), then: seal-console retention check",
        )
    return {
        "version": subject.id,
        "parent": model_state(session.db, parent).name,
        "against_parent": [_as_data(gate) for gate in against_parent],
        "against_base": [_as_data(gate) for gate in against_base],
        "stopped": not all(gate.passed for gate in against_parent),
    }


def fill_matrix(session: Session, version: int | None) -> int:
    """Ask each version of a lineage the questions that the forgetting matrix lacks; returns how many were new."""
    db, examiner, base = session.db, session.examiner, session.base.described()
    versions = lineage(db, version)
    questions = {question.id: question for edit in edits_in(db, versions) for question in edit.task.questions}
    numbers = [None, *(one.number for one in versions)]
    new = 0
    for start in range(0, len(numbers), _VERSIONS_AT_ONCE):
        part = numbers[start : start + _VERSIONS_AT_ONCE]
        session.report(Progress("exam", start, len(numbers), "versions"))
        states = [model_state(db, number) for number in part]
        known = sum(
            len(recorded_answers(db, list(questions), state, base["fingerprint"], base.get("form"))) for state in states
        )
        models = [ModelRef(state, session.live_adapter(number)) for state, number in zip(states, part, strict=True)]
        new += sum(map(len, examiner.question_answers(list(questions.values()), models))) - known
    session.report(Progress("exam", len(numbers), len(numbers), "versions"))
    return new


def ask_red_team(session: Session, number: int | None) -> dict[str, Any]:
    """Ask a version, None for the base, every red-team prompt; returns each behaviour, and if a `deny` one fails.

    Raises WrongUseError if there is no such version or guardrails.yaml cannot be read, NothingToDoError if it has no
    red-team prompts.
    """
    if number is not None:
        get_version(session.db, number)
    prompts = read_guardrails(session.workspace).red_team
    if not prompts:
        raise NothingToDoError(
            f"{session.workspace.guardrails_file} has no red-team prompts.",
            next_step="Write some (see docs/guardrails.md), then: seal-console guardrails check",
        )
    state = model_state(session.db, number)
    session.report(Progress("exam", 0, 0, note=f"Asking {state.name} the red-team prompts."))
    model = ModelRef(state, session.live_adapter(number))
    [answers] = session.examiner.prompt_answers(prompts, [model], grade_behaviour)
    behaviours = [_behaviour(prompt, answers[prompt.identity]) for prompt in prompts]
    denied = any(not one["passes"] and one["verdict"] == "deny" for one in behaviours)
    return {"version": state.name, "prompts": behaviours, "denied": denied}


def _with_gates_on(session: Session) -> Session:
    """Return the session with retention gates on, even if rounds are set not to examine retention."""
    retention = session.settings.retention
    if retention.gate is not None:
        return session
    judging = retention.model_copy(update={"gate": "each"})
    return session.under(session.settings.model_copy(update={"retention": judging}))


def _subject(session: Session, number: int | None) -> GateSubject:
    state = model_state(session.db, number)
    task = None if number is None else edits_in(session.db, [get_version(session.db, number)])[0].task
    return GateSubject(state.name, task=task, model=ModelRef(state, session.live_adapter(number)))


def _verdicts(session: Session, before: int | None, subject: GateSubject) -> list[GateResult]:
    context = session.gate_context(session.live_adapter(before), before)
    gates = [gate for kind in _RETENTION_GATES if (gate := kind.open(context, "after training")) is not None]
    return [verdict for gate in gates for verdict in next(gate.check([subject]))]


def _as_data(gate: GateResult) -> dict[str, Any]:
    row = asdict(gate)
    return {key: row[key] for key in ("gate", "passed", "evidence")}


def _behaviour(prompt: RedTeamPrompt, answer: RetentionAnswer) -> dict[str, Any]:
    row = asdict(prompt)
    kept = {key: row[key] for key in ("name", "group", "text", "must", "verdict", "place")}
    return {**kept, "expected": prompt.says(), "answer": answer.text, "passes": answer.correct}
