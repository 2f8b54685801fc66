"""Requests: what consoles and other processes ask the engine to do, and what came of it.

Each change is one transaction with the event that records it. A stop is a request too, of kind "cancel"; it is about
whatever the engine does when it hears it.
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

if TYPE_CHECKING:
    from sqlite_utils import Database

REQUEST_CHANGES = ("added", "started", "noted", "finished", "cancelled", "requeued")
_MOST_STARTS = 3
_STARTS = "starts"


def add_request(db: Database, kind: JobKind, payload: dict[str, Any], actor: str) -> Job:
    """Ask the engine for something. Raises WrongUseError for an unknown kind, or where nobody asks."""
    if kind not in get_args(JobKind):
        raise WrongUseError(f"There is no request {kind!r}; there are {', '.join(get_args(JobKind))}.")
    if not actor.strip():
        raise WrongUseError("A request needs the name of who asks.")
    with transaction(db):
        number = int(fetch_value(db, "SELECT coalesce(max(id), 0) FROM requests")) + 1
        request = Job(number, kind, json.loads(canonical_json(payload)), "waiting", actor, utc_now())
        insert(db, "requests", request)
        _record(db, "added", request)
    return request


def get_request(db: Database, request_id: int) -> Job:
    """Return one request. Raises WrongUseError where there is none of this number."""
    found = select(db, Job, "SELECT * FROM requests WHERE id = ?", (request_id,))
    if not found:
        raise WrongUseError(f"There is no request {request_id}.")
    return found[0]


def list_requests(db: Database, *, state: JobState | None = None, limit: int | None = None) -> list[Job]:
    """Return requests, the newest first."""
    return select(
        db,
        Job,
        "SELECT * FROM requests WHERE state = coalesce(?, state) ORDER BY id DESC LIMIT ?",
        (state, -1 if limit is None else limit),
    )


def next_waiting(db: Database) -> Job | None:
    """Return the oldest request that waits, stops aside."""
    sql = "SELECT * FROM requests WHERE state = 'waiting' AND kind <> 'cancel' ORDER BY id LIMIT 1"
    found = select(db, Job, sql)
    return found[0] if found else None


def start_request(db: Database, request_id: int) -> Job:
    """Set a waiting request to running. Raises WrongUseError where it does not wait any more."""
    with transaction(db):
        request = _require(get_request(db, request_id), "waiting")
        result = request.result or {}
        return _change(db, "started", request, "running", {**result, _STARTS: result.get(_STARTS, 0) + 1})


def note_request(db: Database, request_id: int, notes: dict[str, Any]) -> Job:
    """Keep with a running request what is needed to go on with it. Raises WrongUseError where it does not run."""
    with transaction(db):
        request = _require(get_request(db, request_id), "running")
        return _change(db, "noted", request, "running", {**(request.result or {}), **notes})


def finish_request(
    db: Database, request_id: int, state: Literal["done", "failed", "cancelled"], result: dict[str, Any]
) -> Job:
    """End a running request. Raises WrongUseError where it does not run."""
    with transaction(db):
        request = _require(get_request(db, request_id), "running")
        return _change(db, "finished", request, state, result)


def cancel_waiting(db: Database, request_id: int, actor: str) -> Job:
    """Take back a request that no engine has begun. Raises WrongUseError where one has."""
    with transaction(db):
        request = _require(get_request(db, request_id), "waiting")
        return _change(db, "cancelled", request, "cancelled", {"cancelled_by": actor})


def ask_to_stop(db: Database, actor: str) -> Job:
    """Ask the engine that works now to stop; what it measured stays."""
    return add_request(db, "cancel", {}, actor)


def take_stop(db: Database) -> Job | None:
    """Return the oldest stop that waits, and mark it and all others that wait as done; None where none waits."""
    if not _waiting_stops(db):
        return None
    with transaction(db):
        taken = [_change(db, "finished", stop, "done", {}) for stop in _waiting_stops(db)]
    return taken[0] if taken else None


def drop_stale_stops(db: Database, *, before: str | None = None) -> int:
    """Cancel stops that wait, or only those asked for `before` a time: they meant an engine that has ended.

    Returns how many these were.
    """
    with transaction(db):
        stale = [stop for stop in _waiting_stops(db) if before is None or stop.requested_at < before]
        for stop in stale:
            _change(db, "cancelled", stop, "cancelled", {"error": "the engine that it meant had ended"})
    return len(stale)


def requeue_abandoned(db: Database) -> list[Job]:
    """Put back to waiting what was running in an engine that died; return these requests, as they are now.

    The caller holds the engine lock. A request whose engine has died so often that it may be the reason fails.
    """
    with transaction(db):
        running = select(db, Job, "SELECT * FROM requests WHERE state = 'running' ORDER BY id")
        return [_requeue(db, request) for request in running]


def hash_request(request: Job) -> str:
    """Return the hash of a request's row, as the event about its last change carries it."""
    return hash_json(to_row(request))


def _requeue(db: Database, request: Job) -> Job:
    starts = (request.result or {}).get(_STARTS, 0)
    if starts < _MOST_STARTS:
        return _change(db, "requeued", request, "waiting", request.result)
    result = {
        "error": f"The engine was ended {starts} times while it worked on this.",
        "next_step": "cache/engine.log may say why; ask for it again when the reason is gone.",
    }
    return _change(db, "finished", request, "failed", result)


def _waiting_stops(db: Database) -> list[Job]:
    return select(db, Job, "SELECT * FROM requests WHERE state = 'waiting' AND kind = 'cancel' ORDER BY id")


def _require(request: Job, state: JobState) -> Job:
    if request.state != state:
        since = "" if request.finished_at is None else f" since {request.finished_at}"
        raise WrongUseError(f"Request {request.id} ({request.kind}) is not {state}: it is {request.state}{since}.")
    return request


def _change(db: Database, change: str, request: Job, state: JobState, result: dict[str, Any] | None) -> Job:
    """Write a request's new state with its event; the caller has a transaction."""
    finished_at = None if state in {"waiting", "running"} else utc_now()
    written = None if result is None else canonical_json(result)
    execute(
        db,
        "UPDATE requests SET state = ?, finished_at = ?, result = ? WHERE id = ?",
        (state, finished_at, written, request.id),
    )
    changed = get_request(db, request.id)
    _record(db, change, changed)
    return changed


def _record(db: Database, change: str, request: Job) -> None:
    known = {"id": request.id, "kind": request.kind, "state": request.state, "actor": request.actor}
    append_event(db, f"request.{change}", {**known, "hash": hash_request(request)})
