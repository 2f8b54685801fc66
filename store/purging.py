"""Takes the text of a task out of a workspace for good: its context, questions, self-edits and answers.

What stays is that it was there: ids, figures, states, and the hashes of each row before and after, in the event log, so
that `verify` still vouches for everything else. Text that an accepted version was made from is in git as well, where
nothing can be taken out; such a task is refused. Not covered: the file that the task was read from, weights that were
trained on it, log files and reports in `cache/`, and backups.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from store.answers import answer_as_hashed
from store.candidates import hash_exam, hash_proposal, list_candidates, reject
from store.database import execute, fetch, transaction
from store.errors import NothingToDoError, WrongUseError
from store.events import append_event
from store.hashing import hash_json
from store.jobs import hash_job, list_jobs
from store.purged_alarms import empty_alarms, hashes_of_alarms
from store.records import Answer
from store.review_queue import is_waiting
from store.rounds import open_round
from store.rows import select, to_row
from store.tasks import get_task, hash_task, list_documents

if TYPE_CHECKING:
    from sqlite_utils import Database

    from store.records import Candidate, Job, Task

PURGED_KIND = "text.purged"
PURGED_TITLE = "(purged)"


@dataclass(frozen=True, slots=True)
class PurgedTask:
    """What a purge takes out, or took out; `adapter_hashes` are those of its candidates in the cache."""

    task_id: str
    title: str
    source: str
    questions: int
    candidates: int
    answers: int
    adapter_hashes: tuple[str, ...]


def plan_purge(db: Database, wanted: str) -> PurgedTask:
    """Return what a purge of a task would take out.

    Raises WrongUseError if there is no such task, a version was made from it, or an unfinished round uses it;
    NothingToDoError if its text was purged before.
    """
    task = get_task(db, wanted)
    candidates = list_candidates(db, task_id=task.id)
    _require_free(db, task, candidates)
    return PurgedTask(
        task.id,
        task.title,
        task.source,
        len(task.questions),
        len(candidates),
        len(_answers(db, task)),
        tuple(sorted({one.adapter_hash for one in candidates if one.adapter_hash} | _first_adapters(db, task))),
    )


def purge_task(db: Database, wanted: str, actor: str, reason: str) -> PurgedTask:
    """Take the text of a task out of the database, in one transaction with the event that keeps the rows' hashes.

    Raises WrongUseError as `plan_purge` does, or if actor or reason are missing.
    """
    if not actor.strip() or not reason.strip():
        raise WrongUseError("A purge needs the name of who purges and a reason; both are kept.")
    db.conn.execute("PRAGMA secure_delete = ON")
    with transaction(db):
        plan = plan_purge(db, wanted)
        task = get_task(db, plan.task_id)
        for candidate in list_candidates(db, task_id=task.id):
            if is_waiting(candidate.state, imported=candidate.imported):
                reject(db, candidate.id, actor, f"its text is purged: {reason}")
        ids = {candidate.id for candidate in list_candidates(db, task_id=task.id)}
        job_ids = [job.id for job in list_jobs(db) if _is_about(job, ids)]
        document_id = task.document_id if task.document_id and _is_only(db, task.document_id) else None
        before = _hashes(db, task.id, job_ids, document_id)
        _empty(db, task, job_ids, document_id)
        after = _hashes(db, task.id, job_ids, document_id)
        hashes = {
            kind: {key: [found, after[kind][key]] for key, found in rows.items()} for kind, rows in before.items()
        }
        payload: dict[str, Any] = {"task": task.id, "hashes": hashes, "actor": actor, "reason": reason}
        append_event(db, PURGED_KIND, payload)
    with suppress(sqlite3.OperationalError):  # somebody reads just now; SQLite writes over its log later
        db.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return plan


def _hashes(db: Database, task_id: str, job_ids: list[int], document_id: str | None) -> dict[str, dict[str, str]]:
    """Return the hashes of all rows that a purge changes, as `verify` computes them, by kind and key."""
    task = get_task(db, task_id)
    candidates = list_candidates(db, task_id=task_id)
    base_answers = [answer for answer in _answers(db, task) if answer.candidate_id is None]
    return {
        "task": {task.id: hash_task(task)},
        "document": {one.id: hash_json(to_row(one)) for one in list_documents(db) if one.id == document_id},
        "candidate": {one.id: hash_proposal(one) for one in candidates},
        "exam": {one.id: hash_exam(db, one) for one in candidates if one.state != "proposed"},
        "answer": {answer_key(one): hash_json(answer_as_hashed(one)) for one in base_answers},
        "job": {str(job.id): hash_job(job) for job in list_jobs(db) if job.id in job_ids},
        **hashes_of_alarms(db, task_id),
    }


def answer_key(answer: Answer) -> str:
    """Return the key of an answer without a candidate, as the event of a purge has it."""
    form = [answer.form] if answer.form else []
    return hash_json([answer.base_fingerprint or "", answer.model_state, answer.question_id, *form])


def _require_free(db: Database, task: Task, candidates: list[Candidate]) -> None:
    if task.title == PURGED_TITLE and not task.context:
        raise NothingToDoError(f"The text of task {task.id} was purged before.")
    marks = ", ".join("?" for _ in candidates)
    tags = fetch(
        db,
        f"SELECT tag FROM versions WHERE candidate_id IN ({marks}) ORDER BY number",  # noqa: S608
        [candidate.id for candidate in candidates],
    )
    if tags:
        named = ", ".join(row["tag"] for row in tags)
        raise WrongUseError(
            f"Its text cannot be purged: {named} in adapters/ was made from it, and git keeps manifest.json and "
            "README.md of a version, which quote it, for good.",
            next_step="Make a new workspace without this document; then delete this one. docs/tasks.md says what else "
            "has the text.",
        )
    current = open_round(db)
    chosen = {} if current is None else current.settings.get("chosen_tasks", {})
    if current is not None and any(task.id in ids for ids in chosen.values()):
        raise WrongUseError(
            f"Its text cannot be purged now: round {current.number} is not finished and uses it.",
            next_step=f'seal-console run finishes it; seal-console rounds abandon {current.number} --reason "…" '
            "gives it up.",
        )


def _first_adapters(db: Database, task: Task) -> set[str]:
    """Return the adapters of first repeats: a candidate that was not measured to its end has no other record of it."""
    sql = (
        "SELECT inner_updates.adapter_hash AS found FROM inner_updates JOIN candidates ON candidates.id = candidate_id "
        "WHERE task_id = ? AND repeat = 0 AND inner_updates.adapter_hash IS NOT NULL"
    )
    return {row["found"] for row in fetch(db, sql, (task.id,))}


def _is_about(job: Job, candidate_ids: set[str]) -> bool:
    named = job.payload.get("candidate")
    return isinstance(named, str) and any(one.startswith(named) for one in candidate_ids)


def _is_only(db: Database, document_id: str) -> bool:
    return bool(fetch(db, "SELECT count(*) AS n FROM tasks WHERE document_id = ?", (document_id,))[0]["n"] == 1)


def _answers(db: Database, task: Task) -> list[Answer]:
    sql = "SELECT answers.* FROM answers JOIN questions ON questions.id = question_id WHERE task_id = ?"
    return select(db, Answer, sql, (task.id,))


def _empty(db: Database, task: Task, job_ids: list[int], document_id: str | None) -> None:
    of_task = "(SELECT id FROM candidates WHERE task_id = ?)"
    execute(db, "UPDATE tasks SET title = ?, context = '', source = '' WHERE id = ?", (PURGED_TITLE, task.id))
    execute(db, "UPDATE questions SET text = '', answers = '[]', grader_options = '{}' WHERE task_id = ?", (task.id,))
    execute(
        db,
        "UPDATE candidates SET prompt = '', completion = '', sequences = '[]', loss_starts = '[]' WHERE task_id = ?",
        (task.id,),
    )
    execute(db, f"UPDATE gates SET evidence = '{{}}' WHERE candidate_id IN {of_task}", (task.id,))  # noqa: S608
    execute(
        db,
        "UPDATE answers SET text = '' WHERE question_id IN (SELECT id FROM questions WHERE task_id = ?)",
        (task.id,),
    )
    empty_alarms(db, task.id)
    for job_id in job_ids:
        execute(db, "UPDATE jobs SET payload = '{}' WHERE id = ?", (job_id,))
    execute(db, "UPDATE documents SET path = '', title = ? WHERE id = ?", (PURGED_TITLE, document_id))
