"""The data of the retention screen: the live lineage's forgetting matrix and drift, figures of rounds, and alarms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.gates.names import DRIFT_GATE
from engine.retention.matrix import Matrix, recorded_matrix
from store.alarms import RoundMeasures, active_alarms, list_alarms
from store.answers import model_state, recorded_answers
from store.candidates import gates_of, get_candidate
from store.rows import select
from store.tasks import get_task
from store.version_rows import get_version, live_version
from store.version_tags import parse_number

if TYPE_CHECKING:
    from sqlite_utils import Database

    from store.alarms import Alarm
    from store.records import Answer, Question


@dataclass(frozen=True, slots=True)
class DriftPoint:
    """Drift of a version from the base on the anchors, in nats per token; `limit` is what its gate allowed."""

    version: str
    mean_kl: float
    worst_kl: float
    limit: float | None


@dataclass(frozen=True, slots=True)
class RetentionFacts:
    """Everything on the screen but the text about one cell."""

    matrix: Matrix
    drift: tuple[DriftPoint, ...]
    measures: tuple[RoundMeasures, ...]
    alarms: tuple[Alarm, ...]
    active: frozenset[int]


@dataclass(frozen=True, slots=True)
class CellAnswer:
    """A question of an edit: the answer right after that edit, and another version's answer."""

    question: Question
    learnt: Answer | None
    now: Answer | None


@dataclass(frozen=True, slots=True)
class CellFacts:
    """A version on an edit: `share` and `learnt` are shares of its questions, None if not all were answered."""

    version: str
    edit: str
    task: str
    answers: tuple[CellAnswer, ...]


def retention_facts(db: Database) -> RetentionFacts:
    """Read everything; no model is asked."""
    matrix = recorded_matrix(db, live_version(db))
    return RetentionFacts(
        matrix,
        tuple(point for tag in matrix.rows[1:] if (point := _drift_of(db, tag)) is not None),
        tuple(select(db, RoundMeasures, "SELECT * FROM round_measures ORDER BY round_number")),
        tuple(list_alarms(db)),
        frozenset(alarm.id for alarm in active_alarms(db)),
    )


def cell_facts(db: Database, version: str, edit: str) -> CellFacts:
    """Read a version's answers (by its tag) about the edit that made another version."""
    task = get_task(db, get_candidate(db, get_version(db, parse_number(edit)).candidate_id).task_id)
    ids = [question.id for question in task.questions]
    learnt, now = (recorded_answers(db, ids, model_state(db, parse_number(tag))) for tag in (edit, version))
    answers = (CellAnswer(question, learnt.get(question.id), now.get(question.id)) for question in task.questions)
    return CellFacts(version, edit, task.title, tuple(answers))


def _drift_of(db: Database, tag: str) -> DriftPoint | None:
    candidate_id = get_version(db, parse_number(tag)).candidate_id
    found: dict[str, Any] | None = next(
        (gate.evidence for gate in gates_of(db, candidate_id) if gate.gate == DRIFT_GATE), None
    )
    return None if found is None else DriftPoint(tag, found["mean_kl"], found["worst_kl"], found.get("max_drift"))
