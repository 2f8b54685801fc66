"""The queue's columns, and its rows as cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seal_console.console.widgets.paged_table import Cell, Column, Row, Tone
from seal_console.reading.queue import QueueRow, queue_rows
from seal_console.shown import short_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seal_console.console.store_reader import StoreReader

COLUMNS = (
    Column("reward", 7, right=True, sort="reward"),
    Column("±", 5, right=True, optional=True),
    Column("audit", 6, right=True, sort="audit", optional=True),
    Column("task", 0, sort="task"),
    Column("state", 10, sort="state"),
    Column("rd", 3, right=True, sort="round", optional=True),
    Column("self-edit begins", 0, optional=True),
    Column("id", 10, sort="id", optional=True),
)
_TONES: dict[str, Tone] = {
    "accepted": "good",
    "rejected": "bad",
    "refused": "bad",
    "deferred": "warn",
    "proposed": "dim",
}
_SIGNS = {"accepted": "✓", "rejected": "✗", "refused": "⊘", "deferred": "…", "examined": "·", "proposed": "○"}


def fetch_rows(reader: StoreReader, keys: Sequence[int]) -> dict[int, Row]:
    """Read some rows at once and make their cells."""
    rows = reader.read_now(lambda db: queue_rows(db, keys))
    return {key: _cells(row) for key, row in rows.items()}


def _cells(row: QueueRow) -> Row:
    reward = "–" if row.reward_mean is None else f"{row.reward_mean:+.3f}"
    spread = "" if row.reward_std is None else f"{row.reward_std:.2f}"
    audit = "–" if row.audit_gain is None else f"{row.audit_gain:+.2f}"
    good: Tone = "good" if (row.reward_mean or 0) > 0 else "bad" if (row.reward_mean or 0) < 0 else ""
    state = f"{_SIGNS.get(row.state, '')} {row.state}"
    return (
        Cell(reward, good),
        Cell(spread, "dim"),
        Cell(audit, "bad" if (row.audit_gain or 0) < 0 else ""),
        ("✎ " if row.derived_from else "") + row.title,
        Cell(state, _TONES.get(row.state, "")),
        Cell(str(row.round_number), "dim"),
        row.beginning,
        Cell(short_id(row.id), "dim"),
    )
