"""The console in a pseudo-terminal with the real engine: asked for, watched, killed, stopped, left alone to go on."""

from __future__ import annotations

import os
import signal
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from store.database import fetch, open_database
from store.lock import lock_owner
from store.verify import verify
from store.version_rows import list_versions
from tests.system.console_terminal import CTRL_Q, CTRL_R, CTRL_S, CTRL_X, ConsoleTerminal
from tests.system.workspaces import small_workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlite_utils import Database

    from store.workspace import Workspace

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

PATIENCE_S = 180.0


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """A workspace whose rounds take some seconds; no engine in it outlives the test."""
    made = small_workspace(tmp_path / "w", per_task=6, epochs=6)
    yield made
    for pid in _engines(made):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def db(workspace: Workspace) -> Iterator[Database]:
    with closing(open_database(workspace.database_file)) as opened:
        yield opened


def _engines(workspace: Workspace) -> list[int]:
    """The engines of a workspace, by their command lines, whether they hold its lock or only begin."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = entry.read_bytes().decode("utf-8", "replace")
            if "engine.jobs.worker" in words and str(workspace.root) in words:
                found.append(int(entry.parent.name))
    return found


def _measured(db: Database) -> dict[str, str]:
    rows = fetch(db, "SELECT candidate_id, repeat, finished_at FROM inner_updates")
    return {f"{row['candidate_id']}/{row['repeat']}": row["finished_at"] for row in rows}


def _eventually(holds: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.02)


def _asks_for_a_round(console: ConsoleTerminal) -> None:
    console.opens(CTRL_R, "Run a round?")
    console.opens(CTRL_S, "Added a job")


def test_a_round_from_the_console_survives_the_death_of_its_engine(workspace: Workspace, db: Database) -> None:
    with ConsoleTerminal(workspace.root, "--as", "ada") as console:
        console.sees("What needs me?", "No engine is running.")
        _asks_for_a_round(console)
        console.sees("inner updates", "loss", within_s=PATIENCE_S)
        console.opens("2", "/ filter")
        console.sees(" new · R ", within_s=PATIENCE_S)
        _eventually(lambda: len(_measured(db)) > 2, "some inner updates are measured")
        owner = lock_owner(workspace.lock_file)
        assert owner is not None
        os.kill(owner.pid, signal.SIGKILL)
        console.sees("engine idle")
        before = _measured(db)
        console.opens("1", "The engine died during", "resumes it")
        _asks_for_a_round(console)
        console.opens("2", "Answers before", "examined")
        console.opens("A", "Accept this self-edit as v0001?")
        console.opens("while it works", "while it works")
        console.opens(CTRL_S, "v0001 is live")
        console.opens("1", "What needs me?")
        _eventually(lambda: _states(db) == ["done"], "the round is done")
        console.sees("engine idle", "v0001", within_s=PATIENCE_S)
        console.keys(CTRL_Q)
        assert console.ended() == 0
    after = _measured(db)
    assert before
    assert {key: after[key] for key in before} == before
    assert [one.reason for one in list_versions(db)] == ["while it works"]
    assert verify(workspace, db).problems == []


def test_an_engine_outlives_a_killed_console_and_the_next_one_watches_and_stops_it(
    workspace: Workspace, db: Database
) -> None:
    with ConsoleTerminal(workspace.root, "--as", "ada") as console:
        console.sees("What needs me?", "No engine is running.")
        _asks_for_a_round(console)
        console.sees("inner updates", "loss", within_s=PATIENCE_S)
        owner = lock_owner(workspace.lock_file)
        os.kill(console.pid, signal.SIGKILL)
        assert console.ended() == -signal.SIGKILL
    with ConsoleTerminal(workspace.root, "--as", "bob") as console:
        console.sees("inner updates", "loss", within_s=PATIENCE_S)
        assert lock_owner(workspace.lock_file) == owner
        console.opens(CTRL_X, "Stop the engine?", "Completed measurements are kept")
        console.closes("Stop the engine?")
        assert lock_owner(workspace.lock_file) == owner
        before = _measured(db)
        console.opens(CTRL_X, "Stop the engine?")
        console.keys(CTRL_S)
        console.sees("engine idle", "is interrupted", within_s=PATIENCE_S)
    _eventually(lambda: not _engines(workspace), "the engine has ended")
    after = _measured(db)
    assert {key: after[key] for key in before} == before
    assert _states(db) == ["interrupted"]
    assert verify(workspace, db).problems == []


def _states(db: Database) -> list[str]:
    return [row["state"] for row in fetch(db, "SELECT state FROM rounds ORDER BY number")]
