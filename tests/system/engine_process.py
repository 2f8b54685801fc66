"""Engines for tests, started as a console starts them, and waiting for what they do; none outlives its test."""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from seal_console.engine_control import start_engine
from store.jobs import get_job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlite_utils import Database

    from store.records import JobState
    from store.workspace import Workspace

PATIENCE_S = 180.0
_ENDED = {"done", "failed", "cancelled"}


@contextmanager
def started_engines() -> Iterator[Callable[[Workspace], int]]:
    """Give what starts an engine and returns its process id; what still lives at the end of the block is killed."""
    started: list[int] = []

    def start(workspace: Workspace) -> int:
        started.append(start_engine(workspace.root))
        return started[-1]

    try:
        yield start
    finally:
        for pid in started:
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)


def is_alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return False


def eventually(holds: Callable[[], object], what: str) -> None:
    """Wait until a condition holds; fail, naming it, where it never does."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.02)


def ended(db: Database, request_id: int) -> JobState:
    """Wait for the end of a request and return what became of it."""
    eventually(lambda: get_job(db, request_id).state in _ENDED, f"request {request_id} has ended")
    return get_job(db, request_id).state
