"""Two versions side by side: recorded answers, and how far apart their weights are.

Only what is recorded is compared; no model is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from seal_console.queries.versions import ROOT, VersionFacts, version_facts
from store.adapter_files import WEIGHTS_NAME
from store.answers import model_state, recorded_answers
from store.errors import SealError
from store.versions import version_adapter_files

if TYPE_CHECKING:
    from sqlite_utils import Database

    from seal_console.queries.weight_distance import WeightDistance
    from store.records import Answer, Question
    from store.workspace import Workspace


@dataclass(frozen=True, slots=True)
class AnswerChanges:
    """One question with what each version answered; None where it was not asked."""

    task_title: str
    question: Question
    first: Answer | None
    second: Answer | None


@dataclass(frozen=True, slots=True)
class VersionComparison:
    """Two versions; `no_distance` says why there is no distance where there is none."""

    first: VersionFacts
    second: VersionFacts
    answers: list[AnswerChanges]
    distance: WeightDistance | None
    no_distance: str = ""


def compare_versions(workspace: Workspace, db: Database, first: int, second: int) -> VersionComparison:
    """Compare two versions by number, 0 for the base alone. Raises WrongUseError where there is none of a number."""
    from seal_console.queries.weight_distance import weight_distance  # noqa: PLC0415 - numpy only where it is needed

    one, other = version_facts(workspace, db, first), version_facts(workspace, db, second)
    distance, why_not = None, ""
    if ROOT in {first, second}:
        why_not = "v0000 is the base model alone: it has no adapter to take a distance from"
    else:
        try:
            distance = weight_distance(*(_weights(workspace, db, number) for number in (first, second)))
        except SealError as error:
            why_not = error.message
    return VersionComparison(one, other, _answers(db, one, other), distance, why_not)


def _weights(workspace: Workspace, db: Database, number: int) -> bytes:
    return version_adapter_files(workspace, db, number)[WEIGHTS_NAME]


def _answers(db: Database, one: VersionFacts, other: VersionFacts) -> list[AnswerChanges]:
    tasks = {facts.task.id: facts.task for facts in (one, other) if facts.task is not None}
    ids = [question.id for task in tasks.values() for question in task.questions]
    by_first = recorded_answers(db, ids, model_state(db, one.number))
    by_second = recorded_answers(db, ids, model_state(db, other.number))
    return [
        AnswerChanges(task.title, question, by_first.get(question.id), by_second.get(question.id))
        for task in tasks.values()
        for question in task.questions
    ]
