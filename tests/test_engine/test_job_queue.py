"""The loop that answers requests, with answers that are made up: what becomes of each, and when it ends."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine.jobs import job_queue as serving
from engine.jobs.job_queue import work_through_jobs
from engine.runtime.progress import ignore_progress
from store.database import open_database
from store.errors import LockedError, NothingToDoError
from store.jobs import add_job, cancel_waiting, get_job, list_jobs, next_waiting, start_job
from store.live_progress import read_progress
from store.lock import hold_lock, lock_owner
from store.workspace import Workspace, create_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlite_utils import Database

    from engine.runtime.engine_lock import LockedWorkspace
    from store.records import Job


ROOT = Path(__file__).resolve().parents[2]


class Answers:
    """Does as the payload says."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def answer(self, held: LockedWorkspace, request: Job) -> dict[str, Any]:
        self.asked.append(request.id)
        match request.payload.get("do"):
            case "fail":
                raise NothingToDoError("There is nothing.", next_step="tasks add")
            case "break":
                raise ZeroDivisionError("oh")
            case "stop":
                raise KeyboardInterrupt
            case "ask":
                add_job(held.db, "run", {}, "Bob")
        return {"answered": request.id}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return create_workspace(tmp_path / "w", "model: {path: bundled}\n")


@pytest.fixture
def db(workspace: Workspace) -> Iterator[Database]:
    with closing(open_database(workspace.database_file)) as opened:
        yield opened


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    answers = Answers()
    monkeypatch.setattr("engine.jobs.job_queue._JobWorker._loaded", lambda *_: answers)
    monkeypatch.setattr(serving, "_LOOKED_EVERY_S", 0.01)
    return answers


def states(db: Database) -> Sequence[str]:
    return [request.state for request in list_jobs(db)][::-1]


def test_each_request_gets_its_own_end(workspace: Workspace, db: Database, answers: Answers) -> None:
    for do in ("", "fail", "break", "ask"):
        add_job(db, "run", {"do": do}, "Ada")
    assert work_through_jobs(workspace, ignore_progress, idle_s=0) == {
        "answered": {"done": 3, "failed": 2},
        "stopped": False,
    }
    assert states(db) == ["done", "failed", "failed", "done", "done"]
    assert answers.asked == [1, 2, 3, 4, 5]
    assert get_job(db, 1).result == {"answered": 1}
    assert get_job(db, 2).result == {"error": "There is nothing.", "next_step": "tasks add", "problems": []}
    broken = get_job(db, 3).result or {}
    assert "ZeroDivisionError: oh" in broken["error"]
    [report] = (workspace.cache_folder / "reports").iterdir()
    assert str(report) in broken["next_step"]
    assert "ZeroDivisionError" in report.read_text(encoding="utf-8")


def test_a_stop_ends_the_request_in_hand_and_the_engine(workspace: Workspace, db: Database, answers: Answers) -> None:
    for do in ("stop", ""):
        add_job(db, "run", {"do": do}, "Ada")
    assert work_through_jobs(workspace, ignore_progress, idle_s=0) == {"answered": {"cancelled": 1}, "stopped": True}
    assert states(db) == ["cancelled", "waiting"]
    assert answers.asked == [1]
    assert lock_owner(workspace.lock_file) is None
    assert read_progress(db) == []


def test_what_a_dead_engine_was_at_comes_first(workspace: Workspace, db: Database, answers: Answers) -> None:
    for _ in range(2):
        add_job(db, "run", {}, "Ada")
    start_job(db, 1)
    work_through_jobs(workspace, ignore_progress, idle_s=0)
    assert answers.asked == [1, 2]
    assert states(db) == ["done", "done"]


@pytest.mark.usefixtures("answers")
def test_a_request_that_is_withdrawn_at_the_last_moment_is_passed_over(
    workspace: Workspace, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        add_job(db, "run", {}, "Ada")

    def withdraw_the_first(theirs: Database) -> Job | None:
        found = next_waiting(theirs)
        if found is not None and found.id == 1:
            cancel_waiting(theirs, 1, "Ada")
        return found

    monkeypatch.setattr(serving, "next_waiting", withdraw_the_first)
    assert work_through_jobs(workspace, ignore_progress, idle_s=0)["answered"] == {"withdrawn": 1, "done": 1}
    assert states(db) == ["cancelled", "done"]


@pytest.mark.usefixtures("answers")
def test_who_asks_just_before_the_lock_is_free_is_answered_too(
    workspace: Workspace, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []

    def too_late(theirs: Database) -> Job | None:
        looked.append(lock_owner(workspace.lock_file))
        if len(looked) == 1:
            found = next_waiting(theirs)
            add_job(theirs, "run", {}, "Ada")
            return found
        return next_waiting(theirs)

    monkeypatch.setattr(serving, "next_waiting", too_late)
    assert work_through_jobs(workspace, ignore_progress, idle_s=0)["answered"] == {"done": 1}
    assert states(db) == ["done"]
    assert [owner is None for owner in looked[:2]] == [False, True]


def test_it_waits_a_while_for_more(workspace: Workspace, answers: Answers) -> None:
    began = time.monotonic()
    assert work_through_jobs(workspace, ignore_progress, idle_s=0.3) == {"answered": {}, "stopped": False}
    assert time.monotonic() - began >= 0.3
    assert answers.asked == []


def test_a_workspace_that_is_held_already(workspace: Workspace, db: Database, answers: Answers) -> None:
    add_job(db, "run", {}, "Ada")
    with hold_lock(workspace.lock_file, "run"), pytest.raises(LockedError, match="run") as locked:
        work_through_jobs(workspace, ignore_progress, idle_s=0)
    assert locked.value.next_step.endswith(f"seal-console -w {workspace.root} stop")
    assert (states(db), answers.asked) == (["waiting"], [])


def test_it_holds_the_lock_before_it_loads_torch() -> None:
    modules = "engine.jobs.worker, engine.jobs.job_queue, engine.loop.operator_edit"
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
