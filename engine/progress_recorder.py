"""The newest progress of each stage, with its rate, as rows of the store for other processes that watch.

Reported in one thread and taken in another. Between two takings only the newest of a stage counts, so however often the
engine reports, few rows are written, and the last word of a stage is always among them.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from store.clock import utc_now
from store.records import LiveProgress

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.progress import Progress

_RATE_OVER_S = 10.0
_SAMPLED_EVERY_S = 0.25


@dataclass(slots=True)
class _Running:
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
        self._stages: dict[str, _Running] = {}

    def report(self, progress: Progress) -> None:
        """Note how far a stage is; one whose count goes back, or that has another total, has begun again."""
        at = utc_now()
        with self._lock:
            running = self._stages.get(progress.stage)
            if running is None or _begins_again(running.newest, progress):
                running = self._stages[progress.stage] = _Running(progress, at, at)
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
