"""A held workspace: consoles see how far the engine is, and can stop it; neither disturbs the work."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from engine.runtime.engine_lock import lock_workspace
from engine.runtime.progress import Progress, ignore_progress
from engine.runtime.progress_channel import open_progress_channel
from store.database import execute, open_database, transaction
from store.errors import LockedError
from store.jobs import ask_to_stop, get_job
from store.live_progress import put_progress, read_progress
from store.lock import lock_owner
from store.records import LiveProgress
from store.workspace import Workspace, create_workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlite_utils import Database

PATIENCE_S = 60.0


def eventually(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return create_workspace(tmp_path / "w", "model: {path: bundled}\n")


@pytest.fixture
def db(workspace: Workspace) -> Iterator[Database]:
    with closing(open_database(workspace.database_file)) as opened:
        yield opened


def test_progress_is_seen_while_the_workspace_is_held_and_gone_afterwards(workspace: Workspace, db: Database) -> None:
    put_progress(db, [LiveProgress("policy", 1, 2, "", "of an engine that was killed", None, "t", "t", {})])
    heard: list[Progress] = []
    with lock_workspace(workspace, "test", heard.append) as held:
        assert read_progress(db) == []
        for done in range(101):
            held.report(Progress("exam", done, 100, "questions"))
        eventually(lambda: [row.done for row in read_progress(db)] == [100])
        assert len(heard) == 101
    assert read_progress(db) == []


def test_a_stop_is_received_once_and_only_by_its_own_engine(workspace: Workspace, db: Database) -> None:
    stale = ask_to_stop(db, "Ada")
    db.conn.execute("UPDATE jobs SET requested_at = '2020-01-01T00:00:00.000Z'")
    with lock_workspace(workspace, "test", ignore_progress):
        assert get_job(db, stale.id).state == "cancelled"
    stops: list[str] = []
    with open_progress_channel(workspace.database_file, ignore_progress, on_stop=lambda: stops.append("stop")) as told:
        asked = [ask_to_stop(db, "Ada"), ask_to_stop(db, "Bob")]
        eventually(lambda: stops)
        told(Progress("exam", 1, 1))
        eventually(lambda: read_progress(db))
    assert stops == ["stop"]
    assert [get_job(db, one.id).state for one in asked] == ["done", "done"]


def test_a_stop_interrupts_the_main_thread(workspace: Workspace, db: Database) -> None:
    assert threading.current_thread() is threading.main_thread()

    def work() -> None:
        with lock_workspace(workspace, "test", ignore_progress):
            ask_to_stop(db, "Ada")
            eventually(lambda: False)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored where tests run by themselves
    try:
        with pytest.raises(KeyboardInterrupt):
            work()
    finally:
        signal.signal(signal.SIGINT, before)
    assert lock_owner(workspace.lock_file) is None


def test_a_busy_database_costs_rows_of_progress_and_nothing_else(
    workspace: Workspace, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.runtime.progress_channel._BUSY_TIMEOUT_MS", 1)
    missed = threading.Event()

    def put_and_tell(watching: Database, rows: list[LiveProgress]) -> None:
        try:
            put_progress(watching, rows)
        except LockedError:
            missed.set()
            raise

    monkeypatch.setattr("engine.runtime.progress_channel.put_progress", put_and_tell)
    with lock_workspace(workspace, "test", ignore_progress) as held:
        with transaction(db):
            execute(db, "DELETE FROM saved_filters")
            held.report(Progress("exam", 1, 9))
            assert missed.wait(PATIENCE_S)
        held.report(Progress("exam", 2, 9))
        eventually(lambda: [row.done for row in read_progress(db)] == [2])


def test_a_held_workspace_is_held_by_one(workspace: Workspace) -> None:
    with (
        lock_workspace(workspace, "the first", ignore_progress),
        pytest.raises(LockedError, match="the first"),
        lock_workspace(workspace, "the second", ignore_progress),
    ):
        pass
