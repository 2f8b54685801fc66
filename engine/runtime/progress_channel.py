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
        said = self.newest
        return LiveProgress(
            stage=said.stage,
            done=said.done,
            total=said.total,
            unit=said.unit,
            note=said.note,
            rate=self.rate if said.total > 0 else None,
            started_at=self.started_at,
            updated_at=self.updated_at,
            details=self.details,
        )


class ProgressRecorder:
    """Keeps what was reported last of each stage, and hands out what has changed."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._stages: dict[str, _StageState] = {}

    def report(self, progress: Progress) -> None:
        """Note how far a stage is; one whose count goes back, or that has another total, has begun again."""
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
