"""Setting up a round: which tasks it trains on, and whether the base is still the one it began on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from store.errors import WrongUseError
from store.hashing import hash_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.model.base import BaseModel
    from store.records import Round, Task


def require_base(current: Round, base: BaseModel) -> None:
    """Raise WrongUseError if a round began on another base."""
    began_on = current.settings["base"]
    if began_on != base.described():
        raise WrongUseError(
            f"round {current.number} began on another base: {began_on['name']}",
            next_step="set model.path and model.precision in seal.yaml back to those of the round",
        )


@dataclass(frozen=True, slots=True)
class TaskChoice:
    """The tasks of one round. A task that is held out in one round is held out in all with the same seed and tasks."""

    train: tuple[Task, ...]
    held_out: tuple[Task, ...]


_SHARE_OF_FEW = 3  # if there are few tasks, at most one in this many is held out


def choose_tasks(
    tasks: Sequence[Task], *, seed: int, round_number: int, tasks_per_round: int, held_out_tasks: int
) -> TaskChoice:
    """Split by a hash of seed and task, so adding tasks moves as few as possible; rounds cycle through the rest."""
    ordered = sorted(tasks, key=lambda task: hash_json([seed, task.id]))
    kept_out = min(held_out_tasks, len(ordered) // _SHARE_OF_FEW)
    held_out, rest = ordered[:kept_out], ordered[kept_out:]
    if len(rest) <= tasks_per_round:
        return TaskChoice(tuple(rest), tuple(held_out))
    start = (round_number - 1) * tasks_per_round % len(rest)
    turned = rest[start:] + rest[:start]
    return TaskChoice(tuple(turned[:tasks_per_round]), tuple(held_out))
