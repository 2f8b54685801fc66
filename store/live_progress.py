"""The engine's current progress, one row for each stage: written by the engine, read by every observer.

It is not history and no event covers it. A killed engine leaves its rows until the next one starts, so readers check
the engine lock first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from store.database import execute, transaction
from store.records import LiveProgress
from store.rows import select, to_row

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlite_utils import Database


def put_progress(db: Database, stages: Iterable[LiveProgress]) -> None:
    """Replace the rows of some stages. Raises ValueError if a value cannot be written as JSON."""
    with transaction(db):
        for stage in stages:
            row = to_row(stage)
            columns, marks = ", ".join(row), ", ".join("?" for _ in row)
            execute(db, f"INSERT OR REPLACE INTO live_progress ({columns}) VALUES ({marks})", list(row.values()))  # noqa: S608


def clear_progress(db: Database) -> None:
    """Forget all stages."""
    with transaction(db):
        execute(db, "DELETE FROM live_progress")


def read_progress(db: Database) -> list[LiveProgress]:
    """Return all stages in the order in which they began."""
    return select(db, LiveProgress, "SELECT * FROM live_progress ORDER BY started_at, stage")
