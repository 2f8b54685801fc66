"""Adds jobs for the engine, and starts an engine if none is running.

The engine is a process of its own that outlives the console. An engine that is running already, started by cron for
example, is left to finish: jobs wait in the store until its lock is free.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from store.jobs import add_job, ask_to_stop, cancel_waiting, list_jobs
from store.lock import lock_owner

if TYPE_CHECKING:
    from sqlite_utils import Database

    from store.records import Job
    from store.workspace import Workspace

StartEngine = Callable[[Path], int]


def ask_for_rounds(workspace: Workspace, db: Database, rounds: int, actor: str, start: StartEngine) -> Job:
    """Add a job that runs rounds; if an engine died over such a job, resume that one instead."""
    left = left_behind(workspace, db)
    job = left[0] if left else add_job(db, "run", {"rounds": rounds}, actor)
    _start_where_none_runs(workspace, start)
    return job


def ask_to_reexamine(
    workspace: Workspace, db: Database, payload: dict[str, Any], actor: str, start: StartEngine
) -> Job:
    """Add a job that trains and evaluates a changed self-edit as a new candidate."""
    job = add_job(db, "reexamine", payload, actor)
    _start_where_none_runs(workspace, start)
    return job


def stop_engine(workspace: Workspace, db: Database, actor: str) -> int:
    """Ask the running engine to stop and cancel all waiting jobs; return how many were cancelled."""
    if lock_owner(workspace.lock_file) is not None:
        ask_to_stop(db, actor)
    waiting = _waiting(db)
    for job in waiting:
        cancel_waiting(db, job.id, actor)
    return len(waiting)


def run_waiting_jobs(workspace: Workspace, db: Database, start: StartEngine) -> bool:
    """Start an engine if jobs are waiting and none is running; return whether one was started.

    A job over which an engine died is not resumed automatically: the job may be the reason.
    """
    if left_behind(workspace, db) or not _waiting(db) or lock_owner(workspace.lock_file) is not None:
        return False
    start(workspace.root)
    return True


def left_behind(workspace: Workspace, db: Database) -> list[Job]:
    """Return the jobs over which an engine died."""
    if lock_owner(workspace.lock_file) is not None:
        return []
    return [one for one in list_jobs(db, state="running") if one.kind != "cancel"]


def _waiting(db: Database) -> list[Job]:
    return [one for one in list_jobs(db, state="waiting") if one.kind != "cancel"]


def _start_where_none_runs(workspace: Workspace, start: StartEngine) -> None:
    if lock_owner(workspace.lock_file) is None:
        start(workspace.root)
