"""Runs the jobs in the store, one after another, until none has waited for a while.

The engine lock is held and the model stays loaded between jobs. A failed job is recorded as failed and the next one
starts; a stop ends the current job and then the engine. Jobs that still wait are left to the next engine.
"""

from __future__ import annotations

import time
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

from engine.runtime.crash_report import write_report
from engine.runtime.engine_lock import LockedWorkspace, lock_workspace
from engine.runtime.progress import Progress
from store.database import open_database
from store.errors import LockedError, WrongUseError
from store.expected_failures import expected_failure
from store.jobs import finish_job, next_waiting, requeue_abandoned, start_job

if TYPE_CHECKING:
    from sqlite_utils import Database

    from engine.jobs.run_job import JobRunner
    from engine.runtime.progress import Report
    from store.records import Job
    from store.workspace import Workspace

IDLE_S = 5.0
_LOOKED_EVERY_S = 0.2
_STOPPED = {"error": "Stopped.", "next_step": "Completed measurements are kept; start it again to resume."}


def work_through_jobs(workspace: Workspace, report: Report, idle_s: float = IDLE_S) -> dict[str, Any]:
    """Run all jobs until none has waited for `idle_s`; return how many ended in each state, and whether it was stopped.

    Raises LockedError if another engine works in the workspace.
    """
    with closing(_JobWorker(idle_s)) as served:
        served.while_held(workspace, report)
        # A job that was added just before the lock was released saw an engine, and started none.
        while not served.stopped and _waits(workspace):
            try:
                served.while_held(workspace, report)
            except LockedError:
                break
    return {"answered": dict(served.outcomes), "stopped": served.stopped}


class _JobWorker:
    """The outcomes so far, and the model that the next job needs."""

    def __init__(self, idle_s: float) -> None:
        self.outcomes = Counter[str]()
        self.stopped = False
        self._idle_s = idle_s
        self._answerer: JobRunner | None = None

    def close(self) -> None:
        if self._answerer is not None:
            self._answerer.close()

    def while_held(self, workspace: Workspace, report: Report) -> None:
        with lock_workspace(workspace, "jobs", report) as held:
            try:
                requeue_abandoned(held.db)
                while not self.stopped and (job := _wait_for_job(held.db, self._idle_s)) is not None:
                    outcome = self._answer(held, job)
                    self.outcomes[outcome] += 1
                    self.stopped = outcome == "cancelled"
            except KeyboardInterrupt:
                self.stopped = True

    def _answer(self, held: LockedWorkspace, waiting: Job) -> str:
        """Run a job, record its outcome and return its state."""
        try:
            job = start_job(held.db, waiting.id)
        except WrongUseError:
            return "withdrawn"  # it was cancelled a moment ago
        try:
            result = self._loaded(held).answer(held, job)
        except KeyboardInterrupt:
            return finish_job(held.db, job.id, "cancelled", _STOPPED).state
        except Exception as error:  # noqa: BLE001 - one job must not end the others; it gets a report
            expected = expected_failure(error, held.workspace.database_file)
            if expected is not None:
                said = {"error": expected.message, "next_step": expected.next_step, "problems": expected.problems}
                return finish_job(held.db, job.id, "failed", said).state
            failure = f"The engine failed unexpectedly: {type(error).__name__}: {error}"
            report = write_report("engine", held.workspace.root, error)
            said = {"error": failure, "next_step": f"The report is in {report}."}
            return finish_job(held.db, job.id, "failed", said).state
        return finish_job(held.db, job.id, "done", result).state

    def _loaded(self, held: LockedWorkspace) -> JobRunner:
        if self._answerer is None:
            held.report(Progress("round", 0, 0, note="Loading the model."))
            # torch takes seconds to load, and the engine lock, by which others see an engine, must not wait for it.
            from engine.jobs.run_job import JobRunner  # noqa: PLC0415

            self._answerer = JobRunner()
        return self._answerer


def _wait_for_job(db: Database, idle_s: float) -> Job | None:
    deadline = time.monotonic() + idle_s
    while (job := next_waiting(db)) is None and time.monotonic() < deadline:
        time.sleep(_LOOKED_EVERY_S)
    return job


def _waits(workspace: Workspace) -> bool:
    with closing(open_database(workspace.database_file)) as db:
        return next_waiting(db) is not None
