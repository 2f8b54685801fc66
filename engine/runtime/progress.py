"""What the engine reports while it works, as plain data: the console and the command line decide how to show it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Stage = Literal["curvature", "propose", "inner updates", "exam", "policy", "round"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stage is: `done` of `total` units; `note` is a sentence worth a line of its own.

    `details` are for those who watch closely, as JSON can carry them; None is nothing new. The stage "inner updates"
    has {"running": [{"candidate_id", "repeat", "slot", "step", "steps", "losses"}]}: what is training right now, with
    up to 40 losses from the first step to the newest at equal distances (nats per token; only finite ones).
    """

    stage: Stage
    done: int
    total: int
    unit: str = ""
    note: str = ""
    details: dict[str, Any] | None = None


Report = Callable[[Progress], None]


def ignore_progress(_: Progress) -> None:
    """Report to nobody."""
