"""What the engine tells while it works, as plain data: the console and the command line decide how to show it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Stage = Literal["propose", "inner updates", "exam", "policy", "round"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stage is: `done` of `total` units; `note` says something worth a line of its own."""

    stage: Stage
    done: int
    total: int
    unit: str = ""
    note: str = ""


Report = Callable[[Progress], None]


def say_nothing(_: Progress) -> None:
    """Report to nobody."""
