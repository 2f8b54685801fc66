"""The engine that a console starts: real processes that answer requests, are stopped, killed, or heard by nobody."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from seal_console.engine_control import LOG_NAME
from store.candidates import get_candidate, list_candidates
from store.database import fetch, open_database
from store.errors import ExitCode
from store.jobs import add_job, ask_to_stop, get_job
from store.live_progress import read_progress
from store.lock import hold_lock, lock_owner
from store.rounds import list_rounds
from store.verify import verify
from tests.system.engine_process import PATIENCE_S, ended, eventually, is_alive, started_engines
from tests.system.workspaces import last_word, small_workspace, start_worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlite_utils import Database

    from store.workspace import Workspace


@pytest.fixture
def engines() -> Iterator[Callable[[Workspace], int]]:
    with started_engines() as start:
        yield start


def _trains(db: Database) -> bool:
    """Tell whether an inner update is seen to run, with its losses."""
    running = [one for stage in read_progress(db) for one in stage.details.get("running", [])]
    return any(one["losses"] for one in running)


def _measured(db: Database) -> dict[str, str]:
    rows = fetch(db, "SELECT candidate_id, repeat, finished_at FROM inner_updates")
    return {f"{row['candidate_id']}/{row['repeat']}": row["finished_at"] for row in rows}


def test_requests_are_answered_one_after_another_and_then_the_engine_ends(
    tmp_path: Path, engines: Callable[[Workspace], int]
) -> None:
    workspace = small_workspace(tmp_path / "w")
    with closing(open_database(workspace.database_file)) as db:
        add_job(db, "run", {"rounds": 1}, "Ada")
        add_job(db, "run", {"rounds": "several"}, "Ada")
        pid = engines(workspace)
        assert ended(db, 1) == "done"
        assert os.getpriority(os.PRIO_PROCESS, pid) >= min(19, os.getpriority(os.PRIO_PROCESS, 0) + 5)
        original = list_candidates(db, role="train")[0]
        add_job(db, "reexamine", {"candidate": original.id, "off": [0]}, "Ada")
        assert (ended(db, 2), ended(db, 3)) == ("failed", "done")
        eventually(lambda: not is_alive(pid), "the engine has ended")
        ran, wrong, examined = (get_job(db, number).result or {} for number in (1, 2, 3))
        assert [one["number"] for one in ran["rounds"]] == [1]
        assert "not 'several'" in wrong["error"]
        assert get_candidate(db, examined["candidate"]).derived_from == original.id
        assert read_progress(db) == []
        assert lock_owner(workspace.lock_file) is None
        assert verify(workspace, db).problems == []
    log = (workspace.cache_folder / LOG_NAME).read_text(encoding="utf-8").splitlines()
    assert json.loads(log[-1])["result"] == {"answered": {"done": 2, "failed": 1}, "stopped": False}
    assert all(json.loads(line)["progress"]["note"] for line in log[:-1] if line.startswith("{"))


def test_a_stop_ends_the_current_job_and_the_next_engine_resumes_it(
    tmp_path: Path, engines: Callable[[Workspace], int]
) -> None:
    workspace = small_workspace(tmp_path / "w", per_task=6, epochs=6)
    with closing(open_database(workspace.database_file)) as db:
        for _ in range(2):
            add_job(db, "run", {"rounds": 1}, "Ada")
        pid = engines(workspace)
        eventually(lambda: _trains(db), "an inner update runs")
        ask_to_stop(db, "Bob")
        assert ended(db, 1) == "cancelled"
        eventually(lambda: not is_alive(pid), "the engine has ended")
        assert [one.state for one in list_rounds(db)] == ["interrupted"]
        assert (get_job(db, 2).state, get_job(db, 3).state) == ("waiting", "done")
        assert read_progress(db) == []
        before = _measured(db)
        engines(workspace)
        assert ended(db, 2) == "done"
        assert [one.state for one in list_rounds(db)] == ["done"]
        after = _measured(db)
        assert {key: after[key] for key in before} == before


def test_what_a_killed_engine_was_at_is_gone_on_with(tmp_path: Path, engines: Callable[[Workspace], int]) -> None:
    workspace = small_workspace(tmp_path / "w", per_task=6)
    with closing(open_database(workspace.database_file)) as db:
        add_job(db, "run", {"rounds": 2}, "Ada")
        pid = engines(workspace)
        eventually(lambda: len(list_rounds(db)) == 2 and _trains(db), "the second round trains")
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: lock_owner(workspace.lock_file) is None, "the engine is dead")
        assert get_job(db, 1).state == "running"
        before = _measured(db)
        engines(workspace)
        assert ended(db, 1) == "done"
        assert [one["number"] for one in (get_job(db, 1).result or {})["rounds"]] == [1, 2]
        assert [one.state for one in list_rounds(db)] == ["done", "done"]
        after = _measured(db)
        assert {key: after[key] for key in before} == before
        assert verify(workspace, db).problems == []


def test_a_run_from_cron_is_seen_and_can_be_stopped(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path / "w", per_task=6, epochs=6)
    worker = start_worker("run", {"workspace": str(workspace.root), "rounds": 1})
    with closing(open_database(workspace.database_file)) as db:
        eventually(lambda: _trains(db), "an inner update runs")
        [stage] = [one for one in read_progress(db) if one.stage == "inner updates"]
        assert {"candidate_id", "repeat", "slot", "step", "steps", "losses"} == set(stage.details["running"][0])
        ask_to_stop(db, "Ada")
        status, _ = last_word(worker)
        assert status == ExitCode.INTERRUPTED
        assert [one.state for one in list_rounds(db)] == ["interrupted"]
        assert read_progress(db) == []


def _run_jobs(parameters: dict[str, Any], **more: Any) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "engine.jobs.worker", "jobs", json.dumps(parameters)]
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen(words, text=True, start_new_session=True, **{**streams, **more})


def test_the_engine_continues_if_its_console_is_gone(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path / "w", train=2, held_out=0, pages=2, per_task=1, epochs=1)
    with closing(open_database(workspace.database_file)) as db:
        add_job(db, "run", {"rounds": 1}, "Ada")
        engine = _run_jobs({"workspace": str(workspace.root), "idle_s": 0})
        for stream in (engine.stdin, engine.stdout, engine.stderr):
            assert stream is not None
            stream.close()
        assert engine.wait(timeout=PATIENCE_S) == ExitCode.DONE
        assert get_job(db, 1).state == "done"


def test_one_that_finds_the_workspace_held_or_nothing_to_do_ends(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path / "w")
    with hold_lock(workspace.lock_file, "run"):
        engine = _run_jobs({"workspace": str(workspace.root)})
        said, _ = engine.communicate(timeout=PATIENCE_S)
    assert engine.returncode == ExitCode.LOCKED
    assert json.loads(said)["error"]["kind"] == "LockedError"
    engine = _run_jobs({"workspace": str(workspace.root), "idle_s": 0}, stdin=subprocess.DEVNULL)
    said, _ = engine.communicate(timeout=PATIENCE_S)
    assert (engine.returncode, json.loads(said)["result"]["answered"]) == (ExitCode.DONE, {})
