"""Setting up a round: which tasks it trains on, and whether the base is still the one it began on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from store.errors import WrongUseError
from store.hashing import hash_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.loop.session import Session
    from engine.lora.adapter import LoraSpec
    from engine.model.base import BaseModel
    from store.records import Round, Task


def require_base(current: Round, base: BaseModel) -> None:
    """Raise WrongUseError if a round began on another base; the same files in another folder are the same base."""
    began_on, now = current.settings["base"], base.described()
    for key, setting in (("fingerprint", "model.path"), ("precision", "model.precision")):
        if began_on[key] != now[key]:
            was = began_on["name" if key == "fingerprint" else key]
            raise WrongUseError(
                f"round {current.number} began on another base: {was}",
                next_step=f"set {setting} in seal.yaml back to {was}, or give the round up: "
                f'seal-console rounds abandon {current.number} --reason "…"',
            )


_LARGEST_FLOAT32 = 3.4e38
_SHOWN = 5


def require_trainable(session: Session, chosen: TaskChoice, next_step: str = "") -> None:
    """Raise WrongUseError that lists everything for which a round over these tasks cannot succeed.

    Checked are the adapters' shapes against the model, and the room for self-edits and answers in its window.
    """
    problems = []
    for section in ("inner_update", "policy_training"):
        try:
            spec = session.inner_spec if section == "inner_update" else session.policy_spec
        except WrongUseError as error:
            problems.append(f"{error.message}; {error.next_step}")
        else:
            problems += _shape_problems(section, spec)
    problems += _room_problems(session, chosen)
    if problems:
        raise WrongUseError(
            "These settings cannot train this model on these tasks.",
            problems=problems,
            next_step=next_step,
        )


def _shape_problems(section: str, spec: LoraSpec) -> list[str]:
    problems = []
    largest = max((min(target.inputs, target.outputs) for target in spec.targets), default=0)
    if spec.rank > largest:
        problems.append(f"{section}.rank: {spec.rank} is more than the largest adapted layer has, {largest}")
    if not math.isfinite(spec.scaling) or spec.scaling > _LARGEST_FLOAT32:
        problems.append(f"{section}.alpha: alpha / rank is {spec.scaling:g}, more than a 32-bit number holds")
    return problems


def _room_problems(session: Session, chosen: TaskChoice) -> list[str]:
    """Return the tasks that leave no room for a self-edit or an answer in the model's window."""
    base, domain, window = session.base, session.domain, session.base.window_tokens
    longest = session.settings.self_edit.max_new_tokens
    problems = []
    for task in (*chosen.train, *chosen.held_out):
        taken = len(base.encoder.prompt(domain.prompt(task)))
        if taken + longest > window:
            problems.append(
                f"self_edit.max_new_tokens: the prompt for “{task.title}” has {taken} tokens, which leaves no room for "
                f"{longest} more in the model's window of {window}"
            )
        for item in domain.exam(task.questions):
            taken = len(base.encoder.prompt(item.prompt))
            if taken + item.max_new_tokens > window:
                problems.append(
                    f"exam.max_new_tokens: a question of “{task.title}” takes {taken} tokens, which leaves no room for "
                    f"{item.max_new_tokens} more in the model's window of {window}: {item.question.text[:60]}"
                )
    return [*problems[:_SHOWN], *([f"and {len(problems) - _SHOWN} more like these"] if len(problems) > _SHOWN else [])]


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
