"""Documents, tasks and their questions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from store.database import fetch, fetch_value, transaction
from store.events import append_event
from store.hashing import hash_json
from store.records import Document, Question, Task
from store.rows import full_id, insert, select, to_row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlite_utils import Database


@dataclass(frozen=True, slots=True)
class AddedTaskIds:
    """Result of adding rows: the new ids, and how many existed already."""

    new_ids: list[str]
    already_there: int


@dataclass(frozen=True, slots=True)
class ListedTask:
    """One line of the list of tasks; its `task` has no questions."""

    task: Task
    reward_questions: int
    audit_questions: int


def add_documents(db: Database, documents: Sequence[Document]) -> AddedTaskIds:
    """Add documents, all or none; those whose id is known are left as they are."""
    hashes: dict[str, str] = {}
    with transaction(db):
        for document in documents:
            if _is_there(db, "documents", document.id):
                continue
            insert(db, "documents", document)
            hashes[document.id] = hash_json(to_row(document))
        if hashes:
            append_event(db, "documents.added", {"hashes": hashes})
    return AddedTaskIds(list(hashes), len(documents) - len(hashes))


def add_tasks(db: Database, tasks: Sequence[Task]) -> AddedTaskIds:
    """Add tasks with their questions, all or none; those whose id is known are left as they are."""
    hashes: dict[str, str] = {}
    with transaction(db):
        for task in tasks:
            if _is_there(db, "tasks", task.id):
                continue
            insert(db, "tasks", task, without={"questions"})
            for question in task.questions:
                insert(db, "questions", question)
            hashes[task.id] = hash_task(task)
        if hashes:
            append_event(db, "tasks.added", {"hashes": hashes})
    return AddedTaskIds(list(hashes), len(tasks) - len(hashes))


def list_tasks(db: Database, *, imported: bool | None = None, purged: bool = True) -> list[ListedTask]:
    """Return all tasks in the order they were added, with counts of their questions; without those whose text was
    purged if `purged` is False.
    """
    counts = {
        row["task_id"]: row
        for row in fetch(
            db,
            "SELECT task_id, sum(split = 'reward') AS reward, sum(split = 'audit') AS audit "
            "FROM questions GROUP BY task_id",
        )
    }
    conditions = ["1"] if imported is None else [f"imported = {int(imported)}"]
    conditions += [] if purged else ["context <> ''"]
    tasks = select(db, Task, f"SELECT * FROM tasks WHERE {' AND '.join(conditions)} ORDER BY rowid")  # noqa: S608
    none = {"reward": 0, "audit": 0}
    return [ListedTask(task, counts.get(task.id, none)["reward"], counts.get(task.id, none)["audit"]) for task in tasks]


def list_documents(db: Database) -> list[Document]:
    """Return all documents in the order they were added."""
    return select(db, Document, "SELECT * FROM documents ORDER BY rowid")


def get_task(db: Database, wanted: str) -> Task:
    """Return the task, with its questions, whose id is `wanted` or starts with it. Raises WrongUseError otherwise."""
    task_id = full_id(db, "tasks", wanted, what="task", list_command="seal-console tasks list")
    (task,) = select(db, Task, "SELECT * FROM tasks WHERE id = ?", (task_id,))
    return replace(task, questions=questions_of(db, task_id))


def questions_of(db: Database, task_id: str) -> list[Question]:
    """Return a task's questions by position."""
    return select(db, Question, "SELECT * FROM questions WHERE task_id = ? ORDER BY position", (task_id,))


def hash_task(task: Task) -> str:
    """Return the hash of a task's row and its questions' rows, as the event that added it carries it."""
    questions = sorted(task.questions, key=lambda question: question.position)
    return hash_json([to_row(task, without={"questions"}), *(to_row(question) for question in questions)])


def _is_there(db: Database, table: str, row_id: str) -> bool:
    return fetch_value(db, f'SELECT 1 FROM "{table}" WHERE id = ?', (row_id,)) is not None  # noqa: S608
