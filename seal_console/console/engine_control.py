"""Asks the engine for work: a request is written down, and an engine is started where none runs.

The engine is a process of its own that outlives the console. One that runs already, from cron say, is left to finish;
requests wait for it in the store, and an engine is started for them when its lock is free.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from store.jobs import add_request, ask_to_stop, cancel_waiting, list_requests
from store.lock import lock_owner

if TYPE_CHECKING:
    from sqlite_utils import Database

    from store.records import Job
    from store.workspace import Workspace

StartEngine = Callable[[Path], int]


def ask_for_rounds(workspace: Workspace, db: Database, rounds: int, actor: str, start: StartEngine) -> Job:
    """Ask for rounds; where an engine died over a request for some, that one is gone on with instead."""
    left = left_behind(workspace, db)
    request = left[0] if left else add_request(db, "run", {"rounds": rounds}, actor)
    _start_where_none_runs(workspace, start)
    return request


def ask_to_reexamine(
    workspace: Workspace, db: Database, payload: dict[str, Any], actor: str, start: StartEngine
) -> Job:
    """Ask for a changed self-edit to be trained and examined as a new candidate."""
    request = add_request(db, "reexamine", payload, actor)
    _start_where_none_runs(workspace, start)
    return request


def stop_engine(workspace: Workspace, db: Database, actor: str) -> int:
    """Ask the engine that runs to stop, and cancel what waits for it; returns how many requests that were."""
    if lock_owner(workspace.lock_file) is not None:
        ask_to_stop(db, actor)
    waiting = _waiting(db)
    for request in waiting:
        cancel_waiting(db, request.id, actor)
    return len(waiting)


def serve_waiting(workspace: Workspace, db: Database, start: StartEngine) -> bool:
    """Start an engine where requests wait and none runs; returns whether one was started.

    A request over which an engine died is not gone on with by itself: it may have died of the request.
    """
    if left_behind(workspace, db) or not _waiting(db) or lock_owner(workspace.lock_file) is not None:
        return False
    start(workspace.root)
    return True


def left_behind(workspace: Workspace, db: Database) -> list[Job]:
    """Return the requests over which an engine died."""
    if lock_owner(workspace.lock_file) is not None:
        return []
    return [one for one in list_requests(db, state="running") if one.kind != "cancel"]


def _waiting(db: Database) -> list[Job]:
    return [one for one in list_requests(db, state="waiting") if one.kind != "cancel"]


def _start_where_none_runs(workspace: Workspace, start: StartEngine) -> None:
    if lock_owner(workspace.lock_file) is None:
        start(workspace.root)
