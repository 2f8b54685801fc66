"""Runs that are killed or interrupted: what was measured stays, and the next run goes on without doing it again."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest

from store.database import fetch, open_database
from store.rounds import list_rounds
from store.verify import verify
from tests.system.workspaces import last_word, small_workspace, start_worker

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from store.workspace import Workspace


def _read_until(worker: subprocess.Popen[str], stage: str, done: int) -> None:
    assert worker.stdout is not None
    for line in worker.stdout:
        progress = json.loads(line).get("progress", {})
        if progress.get("stage") == stage and progress["done"] >= done:
            return
    pytest.fail(f"the worker ended before {stage} {done}")


def _measured(workspace: Workspace) -> dict[str, str]:
    db = open_database(workspace.database_file)
    rows = fetch(db, "SELECT candidate_id, repeat, finished_at, adapter_hash FROM inner_updates")
    db.close()
    return {f"{row['candidate_id']}/{row['repeat']}": f"{row['finished_at']} {row['adapter_hash']}" for row in rows}


def _finish(workspace: Workspace) -> None:
    status, message = last_word(start_worker("run", {"workspace": str(workspace.root), "rounds": 1}))
    assert status == 0, message
    assert message["result"]["log_head"]["hash"].startswith("sha256:")


@pytest.mark.parametrize(
    ("stage", "done"), [("propose", 0), ("inner updates", 2), ("inner updates", 18), ("policy", 1)]
)
def test_a_killed_run_resumes(tmp_path: Path, stage: str, done: int) -> None:
    workspace = small_workspace(tmp_path / "w", per_task=6, pages=6)
    worker = start_worker("run", {"workspace": str(workspace.root), "rounds": 1})
    _read_until(worker, stage, done)
    os.killpg(worker.pid, signal.SIGKILL)
    worker.communicate()
    before = _measured(workspace)
    if done > 16:
        assert before
    _finish(workspace)
    after = _measured(workspace)
    assert {key: after[key] for key in before} == before
    db = open_database(workspace.database_file)
    [finished] = list_rounds(db)
    assert finished.state == "done"
    assert finished.summary is not None
    assert finished.summary["candidates"] == 4 * 6
    proposed = fetch(db, "SELECT count(*) AS n FROM candidates WHERE state = 'proposed'")
    assert proposed == [{"n": 0}]
    assert verify(workspace, db).problems == []
    db.close()


@pytest.mark.parametrize("how", ["ctrl+c", "SIGTERM to all", "the console dies"])
def test_an_interrupted_run_says_so_and_resumes(tmp_path: Path, how: str) -> None:
    workspace = small_workspace(tmp_path / "w", per_task=6)
    worker = start_worker("run", {"workspace": str(workspace.root), "rounds": 1})
    _read_until(worker, "inner updates", 1)
    if how == "ctrl+c":
        os.killpg(worker.pid, signal.SIGINT)
    elif how == "SIGTERM to all":  # as a service manager does, while the command passes on its own
        os.killpg(worker.pid, signal.SIGTERM)
        os.killpg(worker.pid, signal.SIGINT)
    else:
        assert worker.stdin is not None
        worker.stdin.close()
        worker.stdin = None
    said, errors = worker.communicate(timeout=60)
    assert worker.returncode == 130, said[-2000:] + errors[-2000:]
    db = open_database(workspace.database_file)
    assert [one.state for one in list_rounds(db)] == ["interrupted"]
    db.close()
    _finish(workspace)
