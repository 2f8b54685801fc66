"""What the store remembers about alarms, in the shape of `store/records.py`: one class for one row of one table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class RoundMeasures:
    """What was measured of a round as a whole; `measures` are as the engine writes them."""

    round_number: int
    measures: dict[str, Any]
    measured_at: str


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something alarming in the figures of a round. It stands until somebody clears it."""

    id: int
    name: str
    round_number: int
    evidence: dict[str, Any]
    raised_at: str


@dataclass(frozen=True, slots=True)
class AlarmClearing:
    """Who cleared an alarm, and why."""

    alarm_id: int
    actor: str
    reason: str
    cleared_at: str
