"""The tasks as a large table, and one of them with its questions and today's answers.

"Today" is the recorded state of the live model; weakness is the share of a task's answered questions that it gets
wrong. Questions of the audit split are shown to the operator here; no model is trained on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.exams.ceiling import ceiling_of
from seal_console.queries.filters import Condition, Field, parse_filter
from store.answers import WITH_CONTEXT_STATE, base_answers, model_state, recorded_answers
from store.database import fetch, fetch_value
from store.ranking import rank_order
from store.records import Document
from store.rounds import list_rounds
from store.rows import select
from store.tasks import get_task
from store.version_rows import live_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlite_utils import Database

    from engine.exams.ceiling import TaskCeiling
    from store.records import Answer, Question, Task

# Today's model state as one row; SQLite computes it once for a whole query.
_TODAY = """
WITH live AS (
    SELECT coalesce((SELECT to_version FROM moves WHERE name = 'live' ORDER BY id DESC LIMIT 1), 0) AS number
),
today AS MATERIALIZED (
    SELECT CASE number WHEN 0 THEN 'base' ELSE printf('v%04d', number) END AS name,
        (SELECT candidate_id FROM versions WHERE versions.number = live.number) AS candidate_id,
        (SELECT adapter_hash FROM versions WHERE versions.number = live.number) AS adapter_hash
    FROM live
)
"""
# Another base may have answered the same question: the last answer counts.
_NEWEST = """NOT EXISTS (SELECT 1 FROM answers later WHERE later.question_id = {one}.question_id
    AND later.candidate_id IS NULL AND later.model_state = {one}.model_state AND later.rowid > {one}.rowid)"""
_ANSWERED = f"""
FROM questions
LEFT JOIN answers untouched ON untouched.question_id = questions.id AND untouched.candidate_id IS NULL
    AND untouched.model_state = today.name AND {_NEWEST.format(one="untouched")}
LEFT JOIN answers own ON own.candidate_id = today.candidate_id AND own.question_id = questions.id
    AND own.phase = 'after' AND own.model_state = today.adapter_hash
LEFT JOIN answers kept ON kept.question_id = questions.id AND kept.candidate_id IS NULL
    AND kept.model_state = today.adapter_hash AND {_NEWEST.format(one="kept")}
WHERE questions.task_id = tasks.id
"""
_KEPT = "AND tasks.context <> ''"  # of a purged task nothing is asked any more
_WEAKNESS = f"(SELECT avg(1.0 - coalesce(untouched.correct, kept.correct, own.correct)) {_ANSWERED} {_KEPT})"
_ASKED = f"(SELECT count(coalesce(untouched.correct, kept.correct, own.correct)) {_ANSWERED} {_KEPT})"
_BEST = "(SELECT max(reward_mean) FROM candidates WHERE candidates.task_id = tasks.id)"
_FROM = "tasks CROSS JOIN today LEFT JOIN documents ON documents.id = tasks.document_id"
_OF_SPLIT = "(SELECT count(*) FROM questions WHERE questions.task_id = tasks.id AND split = '{}')"

FIELDS = {
    "title": Field("tasks.title"),
    "text": Field("tasks.context"),
    "source": Field("tasks.source"),
    "document": Field("coalesce(documents.path, '')"),
    "question": Field(
        "(SELECT coalesce(group_concat(questions.text, ' '), '') FROM questions WHERE questions.task_id = tasks.id)"
    ),
    "id": Field("tasks.id"),
    "weakness": Field(_WEAKNESS, "number"),
    "asked": Field(_ASKED, "number"),
    "best": Field(_BEST, "number"),
    "reward": Field(_OF_SPLIT.format("reward"), "number"),
    "audit": Field(_OF_SPLIT.format("audit"), "number"),
    "imported": Field("tasks.imported", "number"),
    "added": Field("tasks.added_at", "time"),
}
_SEARCHED = ("tasks.title", "tasks.context", "tasks.source")
# SQLite sorts NULL last in descending and first in ascending order; unmeasured tasks belong at the end.
SORTS = {
    "weakness": f"{_WEAKNESS} DESC, tasks.title, tasks.rowid",
    "best reward": f"{_BEST} IS NULL, {_BEST}, tasks.title, tasks.rowid",
    "title": "tasks.title, tasks.rowid",
    "source": "tasks.source, tasks.rowid",
    "added": "tasks.rowid",
}
# Every column that an export shows; the console goes through SORTS only.
COLUMN_SORTS = {
    **SORTS,
    "id": "tasks.id",
    "document": "documents.path IS NULL, documents.path, tasks.rowid",
    "reward_questions": f"{_OF_SPLIT.format('reward')}, tasks.title, tasks.rowid",
    "audit_questions": f"{_OF_SPLIT.format('audit')}, tasks.title, tasks.rowid",
    "best_reward": SORTS["best reward"],
    "asked": f"{_ASKED}, tasks.title, tasks.rowid",
    "imported": "tasks.imported, tasks.title, tasks.rowid",
    "added_at": SORTS["added"],
}


@dataclass(frozen=True, slots=True)
class TasksQuery:
    """What the table shows: the filter line and the order."""

    text: str = ""
    sort: str = "weakness"
    backwards: bool = False


@dataclass(frozen=True, slots=True)
class TaskRow:
    """One line of the table. `weakness` is a share (0 … 1) of `asked` questions, None if none was answered."""

    key: int
    id: str
    title: str
    source: str
    document: str
    reward_questions: int
    audit_questions: int
    best_reward: float | None
    weakness: float | None
    asked: int
    imported: int
    added_at: str


@dataclass(frozen=True, slots=True)
class AnsweredQuestion:
    """A question with the recorded answers of the live model, and of the base with the context in view, if any."""

    question: Question
    today: Answer | None
    with_context: Answer | None


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """All that is known of a task; `today` names the state that answered."""

    task: Task
    document: Document | None
    today: str
    questions: list[AnsweredQuestion]
    candidates: int
    best_candidate: str | None
    best_reward: float | None


def task_keys(db: Database, query: TasksQuery) -> list[int]:
    """Return the keys of all tasks that fit, in order. Raises WrongUseError for a filter it cannot read."""
    condition = _condition(query.text)
    rows = db.conn.execute(
        f"{_TODAY} SELECT tasks.rowid FROM {_FROM} WHERE {condition.sql} ORDER BY {COLUMN_SORTS[query.sort]}",  # noqa: S608
        condition.parameters,
    )
    keys = [int(key) for (key,) in rows]
    return keys[::-1] if query.backwards else keys


def task_rows(db: Database, keys: Sequence[int]) -> dict[int, TaskRow]:
    """Return the rows of some keys, by key; at most some hundred at a time."""
    marks = ", ".join("?" for _ in keys)
    found = fetch(
        db,
        f"{_TODAY} SELECT tasks.rowid AS key, tasks.id, tasks.title, source, coalesce(documents.path, '') AS document, "  # noqa: S608
        f"{_OF_SPLIT.format('reward')} AS reward_questions, {_OF_SPLIT.format('audit')} AS audit_questions, "
        f"{_BEST} AS best_reward, {_WEAKNESS} AS weakness, {_ASKED} AS asked, imported, tasks.added_at "
        f"FROM {_FROM} WHERE tasks.rowid IN ({marks})",
        list(keys),
    )
    return {row["key"]: TaskRow(**row) for row in found}


def newest_task_key(db: Database) -> int:
    """Return the largest key, to count from later."""
    return int(fetch_value(db, "SELECT coalesce(max(rowid), 0) FROM tasks"))


def tasks_since(db: Database, text: str, key: int) -> int:
    """Count the tasks that fit a filter and came after a key."""
    condition = _condition(text)
    sql = f"{_TODAY} SELECT count(*) FROM {_FROM} WHERE tasks.rowid > ? AND {condition.sql}"  # noqa: S608
    return int(fetch_value(db, sql, (key, *condition.parameters)))


def task_facts(db: Database, key: int) -> TaskFacts | None:
    """Read everything about the task with a key; None if it does not exist."""
    task_id = fetch_value(db, "SELECT id FROM tasks WHERE rowid = ?", (key,))
    return None if task_id is None else facts_of_task(db, get_task(db, task_id))


def facts_of_task(db: Database, task: Task) -> TaskFacts:
    """Read everything about a task."""
    documents = select(db, Document, "SELECT * FROM documents WHERE id = ?", (task.document_id,))
    state = model_state(db, live_version(db))
    asked = [question.id for question in task.questions]
    today = recorded_answers(db, asked, state)
    opened = base_answers(db, asked, WITH_CONTEXT_STATE)
    best = fetch(
        db,
        "SELECT id, reward_mean FROM candidates WHERE task_id = ? AND reward_mean IS NOT NULL "  # noqa: S608
        f"ORDER BY {rank_order()} LIMIT 1",
        (task.id,),
    )
    return TaskFacts(
        task=task,
        document=documents[0] if documents else None,
        today=state.name,
        questions=[AnsweredQuestion(one, today.get(one.id), opened.get(one.id)) for one in task.questions],
        candidates=int(fetch_value(db, "SELECT count(*) FROM candidates WHERE task_id = ?", (task.id,))),
        best_candidate=best[0]["id"] if best else None,
        best_reward=best[0]["reward_mean"] if best else None,
    )


def recorded_ceilings(db: Database, tasks: Sequence[Task]) -> list[TaskCeiling]:
    """Return the ceilings of those tasks whose reward questions were all asked, on the base of the newest round.

    Only recorded answers count: the base's with the context in view, and those of the live model without it.
    """
    rounds = list_rounds(db, imported=False)
    if not rounds:
        return []
    base = rounds[-1].settings.get("base") or {}
    ids = [question.id for task in tasks for question in task.questions if question.split == "reward"]
    opened = base_answers(db, ids, WITH_CONTEXT_STATE, base.get("fingerprint"), base.get("form"))
    closed = recorded_answers(db, ids, model_state(db, live_version(db)), base.get("fingerprint"), base.get("form"))
    answered = opened.keys() & closed.keys()
    return [
        ceiling_of(task, opened, closed)
        for task in tasks
        if {question.id for question in task.questions if question.split == "reward"} <= answered
    ]


def _condition(text: str) -> Condition:
    return parse_filter(text, FIELDS, _SEARCHED)
