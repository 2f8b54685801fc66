"""The channel between a working engine and other processes: they see its progress in the store, and can ask it to stop.

A thread with its own connection does both about four times a second, so that the work never waits for the disk. A stop
interrupts the main thread as Ctrl+C does. A row of progress is not guaranteed to be written: if the database is busy it
is dropped, because work must not fail for its progress report. Between two writes only the newest report of a stage
counts, so few rows are written however often the engine reports, and the last report of a stage is always among them.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from collections import deque
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from store.clock import utc_now
from store.database import execute, open_database
from store.errors import SealError
from store.jobs import take_stop
from store.live_progress import put_progress
from store.records import LiveProgress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlite_utils import Database

    from engine.runtime.progress import Progress, Report


_EVERY_S = 0.25
_BUSY_TIMEOUT_MS = 1000


def interrupt() -> None:
    """Interrupt the main thread, as Ctrl+C does."""
    os.kill(os.getpid(), signal.SIGINT)


@contextmanager
def open_progress_channel(
    database_file: Path, report: Report, on_stop: Callable[[], None] = interrupt
) -> Iterator[Report]:
    """Yield a `report` that consoles see too, and call `on_stop` when one of them asks for it, until the block ends."""
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


_RATE_OVER_S = 10.0
_SAMPLED_EVERY_S = 0.25


@dataclass(slots=True)
class _StageState:
    """A stage since it began; `samples` are (clock, done), the oldest first."""

    newest: Progress
    started_at: str
    updated_at: str
    samples: deque[tuple[float, int]] = field(default_factory=deque)
    details: dict[str, Any] = field(default_factory=dict)
    rate: float | None = None
    changed: bool = True

    def take(self, progress: Progress, clock: float, at: str) -> None:
        if progress.details is not None or _is_finished(progress):
            self.details = progress.details or {}
        self.newest, self.updated_at, self.changed = progress, at, True
        while len(self.samples) > 1 and clock - self.samples[1][0] >= _RATE_OVER_S:
            self.samples.popleft()
        if self.samples:
            since, done = self.samples[0]
            passed = clock - since
            self.rate = (progress.done - done) / passed if passed >= _SAMPLED_EVERY_S else self.rate
        if not self.samples or clock - self.samples[-1][0] >= _SAMPLED_EVERY_S:
            self.samples.append((clock, progress.done))

    def row(self) -> LiveProgress:
        newest = self.newest
        return LiveProgress(
            stage=newest.stage,
            done=newest.done,
            total=newest.total,
            unit=newest.unit,
            note=newest.note,
            rate=self.rate if newest.total > 0 else None,
            started_at=self.started_at,
            updated_at=self.updated_at,
            details=self.details,
        )


class ProgressRecorder:
    """Keeps the latest report of each stage, and hands out what has changed."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._stages: dict[str, _StageState] = {}

    def report(self, progress: Progress) -> None:
        """Record how far a stage is; if its count goes back, or its total changes, it has started again."""
        at = utc_now()
        with self._lock:
            running = self._stages.get(progress.stage)
            if running is None or _begins_again(running.newest, progress):
                running = self._stages[progress.stage] = _StageState(progress, at, at)
            running.take(progress, self._clock(), at)

    def take_changed(self) -> list[LiveProgress]:
        """Return the rows of the stages that have changed since the last call."""
        with self._lock:
            changed = [running for running in self._stages.values() if running.changed]
            for running in changed:
                running.changed = False
            return [running.row() for running in changed]


def _begins_again(before: Progress, now: Progress) -> bool:
    return now.done < before.done or now.total != before.total


def _is_finished(progress: Progress) -> bool:
    return 0 < progress.total <= progress.done
