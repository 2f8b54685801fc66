"""The exam of earlier edits: the questions of every accepted edit in the lineage of a version, or a fixed sample of
them.

Only correct answers can be lost. Which questions are drawn depends on their ids and the seed alone, so the exam is the
same for every candidate of a version. A rewording is another question: an edit that updates a fact and asks for it in
other words than the earlier edit must pass both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.tasks.task_input import question_key
from store.candidates import get_candidate
from store.hashing import hash_json
from store.tasks import get_task
from store.version_rows import get_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlite_utils import Database

    from store.records import Question, Task, Version


@dataclass(frozen=True, slots=True)
class AcceptedEdit:
    """An accepted edit: the version that it made, and its task with the questions."""

    version: Version
    task: Task


@dataclass(frozen=True, slots=True)
class EarlierQuestion:
    """A question in the exam of earlier edits, with the newest edit that has it."""

    question: Question
    edit: AcceptedEdit


def lineage(db: Database, version: int | None) -> list[Version]:
    """Return a version with all its ancestors, the oldest first."""
    versions: list[Version] = []
    while version is not None:
        versions.insert(0, get_version(db, version))
        version = versions[0].parent_number
    return versions


def edits_in(db: Database, versions: Sequence[Version]) -> list[AcceptedEdit]:
    """Return the edits that made the versions of a lineage, in their order."""
    return [
        AcceptedEdit(version, get_task(db, get_candidate(db, version.candidate_id).task_id)) for version in versions
    ]


def earlier_questions(edits: Sequence[AcceptedEdit], most: int, seed: int) -> list[EarlierQuestion]:
    """Return the questions of all edits, each once under the newest edit that has it; at most `most` of them.

    If there are more, those with the lowest hash of id and seed are drawn: first one of each edit, then from the rest.
    """
    newest = {question.id: EarlierQuestion(question, edit) for edit in edits for question in edit.task.questions}
    ranked = sorted(newest.values(), key=lambda one: hash_json([one.question.id, seed]))
    if len(ranked) <= most:
        return list(newest.values())
    first_of_edit: dict[int, EarlierQuestion] = {}
    for one in ranked:
        first_of_edit.setdefault(one.edit.version.number, one)
    in_turn = dict.fromkeys(one.question.id for one in [*first_of_edit.values(), *ranked])
    drawn = set(list(in_turn)[:most])
    return [one for question_id, one in newest.items() if question_id in drawn]


def questions_at_risk(questions: Sequence[EarlierQuestion], task: Task | None) -> list[EarlierQuestion]:
    """Return the questions except those that an edit about `task` is meant to change; None means no edit.

    Those are the questions of a task with the same title that equal a question of `task` apart from case and spaces:
    its own questions, and those whose answers it updates.
    """
    if task is None:
        return list(questions)
    own = {question_key(question.text) for question in task.questions}
    title = question_key(task.title)
    return [
        one
        for one in questions
        if question_key(one.edit.task.title) != title or question_key(one.question.text) not in own
    ]
