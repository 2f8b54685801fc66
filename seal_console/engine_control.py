"""Starts an engine that runs the jobs of a workspace and ends by itself when none is waiting, and stops it.

The engine outlives the console, reads no stdin and writes its messages to cache/engine.log. If another engine has
locked the workspace, it ends at once.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.runtime.child_environment import child_environment
from seal_console.engine_process import WORKER_COMMAND
from store.durable import remove
from store.jobs import add_job, ask_to_stop, cancel_waiting, list_jobs
from store.lock import hold_lock, lock_owner
from store.rounds import abandon_round
from store.workspace import Workspace

if TYPE_CHECKING:
    from sqlite_utils import Database

    from store.records import Job, Round


LOG_NAME = "engine.log"


def start_engine(workspace: Path) -> int:
    """Start an engine in a session of its own and return its process id; its progress is in the store."""
    cache = Workspace(workspace).cache_folder
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / LOG_NAME).open("ab") as log:
        engine = subprocess.Popen(
            [*WORKER_COMMAND, "jobs", json.dumps({"workspace": str(workspace.resolve())})],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=child_environment(),
            start_new_session=True,
        )
    # Wait for it, so that a dead engine does not stay in the process table while this process lives.
    threading.Thread(target=engine.wait, daemon=True).start()
    return engine.pid


StartEngine = Callable[[Path], int]


def ask_for_rounds(workspace: Workspace, db: Database, rounds: int, actor: str, start: StartEngine) -> Job:
    """Add a job that runs rounds; if an engine died during such a job, resume that one instead."""
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


def give_up_round(workspace: Workspace, db: Database, number: int, actor: str, reason: str) -> Round:
    """End an unfinished round as failed and remove its unfinished policy.

    Raises LockedError while an engine runs, and WrongUseError if the round has ended.
    """
    with hold_lock(workspace.lock_file, "rounds abandon"):
        ended = abandon_round(db, number, actor, reason)
        policy = workspace.candidate_policy_folder(number)
        if policy.is_dir():
            remove(policy)
    return ended


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
