"""The lines of the retention screen's plots: drift over versions, and what alarms are raised by over rounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seal_console.console.widgets.lines_plot import PlotLine
from store.version_tags import parse_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seal_console.queries.retention import DriftPoint
    from store.alarms import RoundMeasures

# Held-out accuracy and agreement belong side by side: that they part is how self-training collapses.
_OF_ROUNDS = (
    ("held_out", "held-out accuracy", "◆", "text-success"),
    ("agreement", "agreement", "●", "text-accent"),
    ("distinct", "diversity of self-edits", "▲", "text-warning"),
)


def drift_lines(points: Sequence[DriftPoint]) -> list[PlotLine]:
    """Mean drift of each version, and the limit where there is one."""
    means = tuple((float(parse_number(point.version)), point.mean_kl) for point in points)
    limits = tuple((float(parse_number(point.version)), point.limit) for point in points if point.limit is not None)
    return [
        PlotLine("mean", "●", "text-accent", means),
        PlotLine("limit", "×", "text-error", limits),
    ]


def round_lines(measures: Sequence[RoundMeasures]) -> list[PlotLine]:
    """What the rounds measured, those figures that a round has."""
    return [
        PlotLine(name, sign, tone, tuple((float(one.round_number), mean) for one in measures
                                         if (mean := _mean(one, key)) is not None))
        for key, name, sign, tone in _OF_ROUNDS
    ]  # fmt: skip


def _mean(measured: RoundMeasures, key: str) -> float | None:
    value = measured.measures.get(key)
    if isinstance(value, dict):
        return sum(value.values()) / len(value) if value else None
    return value if isinstance(value, int | float) else None
