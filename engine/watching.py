"""While the engine works: other processes see in the store how far it is, and can ask it there to stop.

A thread with a connection of its own does both about four times a second, so that the work never waits for the disk.
A stop interrupts the main thread as Ctrl+C does. That a row of progress is written is not guaranteed: where the
database is busy it is left out, because work must not fail for what only tells about it.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from engine.progress_recorder import ProgressRecorder
from store.database import execute, open_database
from store.errors import SealError
from store.live_progress import put_progress
from store.requests import take_stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlite_utils import Database

    from engine.progress import Progress, Report

_EVERY_S = 0.25
_BUSY_TIMEOUT_MS = 1000


def interrupt() -> None:
    """Interrupt the main thread, as Ctrl+C does."""
    os.kill(os.getpid(), signal.SIGINT)


@contextmanager
def watched(database_file: Path, report: Report, on_stop: Callable[[], None] = interrupt) -> Iterator[Report]:
    """Give a `report` that consoles see too, and call `on_stop` when one of them asks for it, until the block ends."""
    recorder, ended = ProgressRecorder(), threading.Event()

    def told(progress: Progress) -> None:
        recorder.report(progress)
        report(progress)

    thread = threading.Thread(target=_watch, args=(database_file, recorder, ended, on_stop), daemon=True)
    thread.start()
    try:
        yield told
    finally:
        ended.set()
        thread.join()


def _watch(
    database_file: Path, recorder: ProgressRecorder, ended: threading.Event, on_stop: Callable[[], None]
) -> None:
    with suppress(SealError, sqlite3.Error), closing(open_database(database_file)) as db:
        execute(db, f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
        while not ended.wait(_EVERY_S):
            with suppress(SealError, sqlite3.Error):
                _look(db, recorder, on_stop)


def _look(db: Database, recorder: ProgressRecorder, on_stop: Callable[[], None]) -> None:
    if take_stop(db) is not None:
        on_stop()
    if changed := recorder.take_changed():
        put_progress(db, changed)
