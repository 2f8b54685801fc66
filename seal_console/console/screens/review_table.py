"""The queue's columns, and its rows as cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seal_console.console.widgets.table_columns import Cell, Column, Row, Tone
from seal_console.format import short_id
from seal_console.queries.queue import QueueRow, queue_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seal_console.console.store_reader import StoreReader

COLUMNS = (
    Column("reward", 7, right=True, sort="reward"),
    Column("±", 5, right=True, optional=2),
    Column("audit", 6, right=True, sort="audit", optional=1),
    Column("task", 0, sort="task", least=16),
    Column("state", 10, sort="state"),
    Column("rd", 3, right=True, sort="round", optional=2),
    Column("self-edit begins", 0, optional=3),
    Column("id", 10, sort="id", optional=4),
)
_TONES: dict[str, Tone] = {
    "accepted": "good",
    "rejected": "bad",
    "refused": "bad",
    "deferred": "warn",
    "review": "warn",
    "proposed": "dim",
    "imported": "dim",
    "older": "dim",
}
_SIGNS = {
    "accepted": "✓",
    "rejected": "✗",
    "refused": "⊘",
    "deferred": "…",
    "examined": "·",
    "review": "‖",
    "proposed": "○",
    "imported": "↓",
    "older": "↷",
}


def fetch_rows(reader: StoreReader, keys: Sequence[int]) -> dict[int, Row]:
    """Read some rows at once and make their cells."""
    rows = reader.read_now(lambda db: queue_rows(db, keys))
    return {key: _cells(row) for key, row in rows.items()}


def _cells(row: QueueRow) -> Row:
    reward = "–" if row.reward_mean is None else f"{row.reward_mean:+.3f}"
    spread = row.stopped or ("" if row.reward_std is None else f"{row.reward_std:.2f}")
    audit = "–" if row.audit_gain is None else f"{row.audit_gain:+.2f}"
    good: Tone = "good" if (row.reward_mean or 0) > 0 else "bad" if (row.reward_mean or 0) < 0 else ""
    needs_review = row.needs_review and row.state == "examined"
    state = "imported" if row.imported else "older" if row.older_parent else "review" if needs_review else row.state
    return (
        Cell(reward, good),
        Cell(spread, "dim"),
        Cell(audit, "bad" if (row.audit_gain or 0) < 0 else ""),
        ("✎ " if row.derived_from else "") + row.title,
        Cell(f"{_SIGNS.get(state, '')} {state}", _TONES.get(state, "")),
        Cell(str(row.round_number), "dim"),
        row.beginning,
        Cell(short_id(row.id), "dim"),
    )
