"""The job queue: what consoles and other processes ask the engine to do, and the outcome.

Each change is one transaction with the event that records it. A stop is a job too, of kind "cancel"; it stops whatever
the engine is doing when it reads it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, get_args

from store.clock import utc_now
from store.database import execute, fetch_value, transaction
from store.errors import WrongUseError
from store.events import append_event
from store.hashing import canonical_json, hash_json
from store.records import Job, JobKind, JobState
from store.rows import insert, select, to_row
from store.wording import counted

if TYPE_CHECKING:
    from sqlite_utils import Database

JOB_CHANGES = ("added", "started", "noted", "finished", "cancelled", "requeued")
_MOST_STARTS = 3
_STARTS = "starts"


def add_job(db: Database, kind: JobKind, payload: dict[str, Any], actor: str) -> Job:
    """Add a job to the queue. Raises WrongUseError if the kind is unknown or the actor has no name."""
    if kind not in get_args(JobKind):
        raise WrongUseError(f"Unknown kind of job {kind!r}. Kinds: {', '.join(get_args(JobKind))}.")
    if not actor.strip():
        raise WrongUseError("A job needs the name of who asks for it.")
    with transaction(db):
        number = int(fetch_value(db, "SELECT coalesce(max(id), 0) FROM jobs")) + 1
        job = Job(number, kind, json.loads(canonical_json(payload)), "waiting", actor, utc_now())
        insert(db, "jobs", job)
        _record(db, "added", job)
    return job


def get_job(db: Database, job_id: int) -> Job:
    """Return one job. Raises WrongUseError if no job has this number."""
    found = select(db, Job, "SELECT * FROM jobs WHERE id = ?", (job_id,))
    if not found:
        raise WrongUseError(f"There is no job {job_id}.")
    return found[0]


def list_jobs(db: Database, *, state: JobState | None = None, limit: int | None = None) -> list[Job]:
    """Return jobs, the newest first."""
    return select(
        db,
        Job,
        "SELECT * FROM jobs WHERE state = coalesce(?, state) ORDER BY id DESC LIMIT ?",
        (state, -1 if limit is None else limit),
    )


def next_waiting(db: Database) -> Job | None:
    """Return the oldest waiting job that is not a stop."""
    sql = "SELECT * FROM jobs WHERE state = 'waiting' AND kind <> 'cancel' ORDER BY id LIMIT 1"
    found = select(db, Job, sql)
    return found[0] if found else None


def start_job(db: Database, job_id: int) -> Job:
    """Set a waiting job to running. Raises WrongUseError if it is no longer waiting."""
    with transaction(db):
        job = _require(get_job(db, job_id), "waiting")
        result = job.result or {}
        return _change(db, "started", job, "running", {**result, _STARTS: result.get(_STARTS, 0) + 1})


def note_job(db: Database, job_id: int, notes: dict[str, Any]) -> Job:
    """Keep notes with a running job, to resume it after a crash. Raises WrongUseError if it is not running."""
    with transaction(db):
        job = _require(get_job(db, job_id), "running")
        return _change(db, "noted", job, "running", {**(job.result or {}), **notes})


def finish_job(db: Database, job_id: int, state: Literal["done", "failed", "cancelled"], result: dict[str, Any]) -> Job:
    """End a running job. Raises WrongUseError if it is not running."""
    with transaction(db):
        job = _require(get_job(db, job_id), "running")
        return _change(db, "finished", job, state, result)


def cancel_waiting(db: Database, job_id: int, actor: str) -> Job:
    """Cancel a job that no engine has started. Raises WrongUseError if one has."""
    with transaction(db):
        job = _require(get_job(db, job_id), "waiting")
        return _change(db, "cancelled", job, "cancelled", {"cancelled_by": actor})


def ask_to_stop(db: Database, actor: str) -> Job:
    """Ask the running engine to stop; completed measurements are kept."""
    return add_job(db, "cancel", {}, actor)


def take_stop(db: Database) -> Job | None:
    """Return the oldest waiting stop and mark every waiting stop as done; None if no stop waits."""
    if not _waiting_stops(db):
        return None
    with transaction(db):
        taken = [_change(db, "finished", stop, "done", {}) for stop in _waiting_stops(db)]
    return taken[0] if taken else None


def drop_stale_stops(db: Database, *, before: str | None = None) -> int:
    """Cancel waiting stops, or only those added `before` a time: they were meant for an engine that has ended.

    Returns how many were cancelled.
    """
    with transaction(db):
        stale = [stop for stop in _waiting_stops(db) if before is None or stop.requested_at < before]
        for stop in stale:
            _change(db, "cancelled", stop, "cancelled", {"error": "the engine to stop had already ended"})
    return len(stale)


def requeue_abandoned(db: Database) -> list[Job]:
    """Set jobs of an engine that died back to waiting and return them in their new state.

    The caller holds the engine lock. A job whose engine died three times fails, since it may be the cause.
    """
    with transaction(db):
        running = select(db, Job, "SELECT * FROM jobs WHERE state = 'running' ORDER BY id")
        return [_requeue(db, job) for job in running]


def hash_job(job: Job) -> str:
    """Return the hash of a job's row, which the event about its last change contains."""
    return hash_json(to_row(job))


def _requeue(db: Database, job: Job) -> Job:
    starts = (job.result or {}).get(_STARTS, 0)
    if starts < _MOST_STARTS:
        return _change(db, "requeued", job, "waiting", job.result)
    result = {
        "error": f"The engine died {counted(starts, 'time')} while it ran this job.",
        "next_step": "See cache/engine.log for the reason, then add the job again.",
    }
    return _change(db, "finished", job, "failed", result)


def _waiting_stops(db: Database) -> list[Job]:
    return select(db, Job, "SELECT * FROM jobs WHERE state = 'waiting' AND kind = 'cancel' ORDER BY id")


def _require(job: Job, state: JobState) -> Job:
    if job.state != state:
        since = "" if job.finished_at is None else f" since {job.finished_at}"
        raise WrongUseError(f"Job {job.id} ({job.kind}) is not {state}: it is {job.state}{since}.")
    return job


def _change(db: Database, change: str, job: Job, state: JobState, result: dict[str, Any] | None) -> Job:
    """Write a job's new state with its event, in the caller's transaction."""
    finished_at = None if state in {"waiting", "running"} else utc_now()
    written = None if result is None else canonical_json(result)
    execute(
        db,
        "UPDATE jobs SET state = ?, finished_at = ?, result = ? WHERE id = ?",
        (state, finished_at, written, job.id),
    )
    changed = get_job(db, job.id)
    _record(db, change, changed)
    return changed


def _record(db: Database, change: str, job: Job) -> None:
    known = {"id": job.id, "kind": job.kind, "state": job.state, "actor": job.actor}
    append_event(db, f"job.{change}", {**known, "hash": hash_job(job)})
