"""The data of the retention screen: the live lineage's forgetting matrix and drift, figures of rounds, and alarms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.gates.evidence import SuiteEvidence, read_evidence
from engine.gates.names import DRIFT_GATE, SUITE_GATE
from engine.retention.matrix import Matrix, recorded_matrix
from store.alarms import RoundMeasures, active_alarms, list_alarms
from store.answers import model_state, recorded_answers
from store.candidates import gates_of, get_candidate
from store.retention import newest_noise
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
class SuiteFacts:
    """What a suite guards: `right` of `prompts` answers before the live version, of which it lost `lost`.

    `lost` is None if nothing is live or its gate did not ask the suite; then `right` are those of the base.
    `noise_floor` is None if it was not measured.
    """

    name: str
    prompts: int
    right: int
    lost: int | None
    noise_floor: int | None


@dataclass(frozen=True, slots=True)
class RetentionFacts:
    """Everything on the screen but the text about one cell."""

    matrix: Matrix
    suites: tuple[SuiteFacts, ...]
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
    live = live_version(db)
    matrix = recorded_matrix(db, live)
    return RetentionFacts(
        matrix,
        suite_facts(db, live),
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


def suite_facts(db: Database, live: int | None) -> tuple[SuiteFacts, ...]:
    """Return what each suite guards by its name: as the live version was judged, or else as measured on the base."""
    measured = {noise.suite: noise for noise in newest_noise(db).values()}
    found = {
        noise.suite: SuiteFacts(noise.suite, noise.prompts, noise.right_answers, None, noise.lost)
        for noise in measured.values()
    }
    for gate in gates_of(db, get_version(db, live).candidate_id) if live else []:
        evidence = read_evidence(gate.gate, gate.evidence) if gate.gate.startswith(SUITE_GATE) else None
        if isinstance(evidence, SuiteEvidence):
            name = evidence.suite
            known = measured[name].lost if name in measured else None
            floor = known if evidence.noise_floor is None else evidence.noise_floor
            found[name] = SuiteFacts(name, evidence.prompts, evidence.right_before, len(evidence.lost), floor)
    return tuple(found[name] for name in sorted(found))


def _drift_of(db: Database, tag: str) -> DriftPoint | None:
    candidate_id = get_version(db, parse_number(tag)).candidate_id
    found: dict[str, Any] | None = next(
        (gate.evidence for gate in gates_of(db, candidate_id) if gate.gate == DRIFT_GATE), None
    )
    return None if found is None else DriftPoint(tag, found["mean_kl"], found["worst_kl"], found.get("max_drift"))
