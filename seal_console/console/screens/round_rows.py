"""The columns and lines of the tables of rounds and of a round's candidates, on the screen and in an exported file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seal_console.console.screens.round_report import duration, outcome
from seal_console.console.widgets.paged_table import Cell, Column
from seal_console.format import gain, percent, short_id

if TYPE_CHECKING:
    from seal_console.console.widgets.paged_table import Row, Tone
    from seal_console.queries.rounds import RankedCandidate, RoundLine

ROUND_COLUMNS = (
    Column("Round", 5, right=True),
    Column("State", 11),
    Column("Edits", 6, right=True),
    Column("Kept", 5, right=True),
    Column("Refused", 7, right=True, optional=1),
    Column("Mean", 7, right=True),
    Column("Best", 7, right=True, optional=1),
    Column("Held out", 17),
    Column("Policy"),
    Column("Tasks", 6, right=True, optional=1),
    Column("Took", 8, right=True, optional=1),
    Column("Seed", 6, right=True, optional=1),
)
RANKED_COLUMNS = (
    Column("#", 4, right=True),
    Column("Reward", 16),
    Column("State", 10),
    Column("Task"),
    Column("Audit", 7, right=True, optional=1),
    Column("For", 8, optional=1),
    Column("Id", 12, optional=1),
)
_STATE_TONES: dict[str, Tone] = {"accepted": "good", "refused": "bad", "rejected": "bad", "deferred": "warn"}


def round_row(line: RoundLine) -> Row:
    """One line of the table of rounds."""
    said = outcome(line)
    tone: Tone = "good" if line.new_policy_version else "bad" if line.policy_dropped else "dim"
    held_out = (
        "" if line.held_out_before is None else f"{percent(line.held_out_before)} → {percent(line.held_out_after)}"
    )
    return (
        str(line.number), Cell(line.state, "warn" if line.state in {"interrupted", "failed"} else ""),
        f"{line.candidates:,}", "" if line.kept is None else f"{line.kept:,}", f"{line.refused:,}",
        _gain(line.mean_reward), _gain(line.best_reward), held_out, Cell(said, tone), f"{line.tasks:,}",
        duration(line), "" if line.imported else str(line.seed),
    )  # fmt: skip


def ranked_row(row: RankedCandidate, place: int, *, kept: bool) -> Row:
    """One line of the table of candidates; "✓" says that the policy was trained on it, "✎" that somebody edited it."""
    spread = "" if row.reward_std is None else f" ± {row.reward_std:.2f}"
    sign = " ✓" if kept else ""
    edited = "✎ edited: " if row.derived_from is not None else ""
    return (
        f"{place:,}", f"{_gain(row.reward_mean)}{spread}{sign}", Cell(row.state, _STATE_TONES.get(row.state, "")),
        f"{edited}{row.title}", _gain(row.audit_gain), "held out" if row.role == "held_out" else "training",
        short_id(row.id),
    )  # fmt: skip


def _gain(value: float | None) -> str:
    return "–" if value is None else gain(value)
