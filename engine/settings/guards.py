"""The settings that guard what goes live, and which of them are switched off.

A workspace may come from somebody else, with guards off. Commands and screens say so in these words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.settings.sections import AlarmSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.settings.sections import Settings


@dataclass(frozen=True, slots=True)
class GuardOff:
    """A guard that is off: the setting as the file would have it, and what follows from it."""

    setting: str
    meaning: str


_OFF: tuple[tuple[Callable[[Settings], bool], GuardOff], ...] = (
    (
        lambda settings: settings.gates.min_reward is None,
        GuardOff("gates.min_reward: null", "no reward is too low"),
    ),
    (
        lambda settings: settings.gates.min_audit_gain is None,
        GuardOff("gates.min_audit_gain: null", "a loss on the audit questions stops nothing"),
    ),
    (
        lambda settings: settings.retention.gate is None,
        GuardOff("retention.gate: null", "lost answers stop nothing"),
    ),
    (
        lambda settings: settings.acceptance.automatic,
        GuardOff("acceptance.automatic: true", "the best candidate goes live without a person"),
    ),
    (
        lambda settings: settings.model.trust_remote_code,
        GuardOff("model.trust_remote_code: true", "Python code that comes with the model is run"),
    ),
)


def guards_off(settings: Settings, *, has_guardrails: bool) -> tuple[GuardOff, ...]:
    """Return the guards that are off; `has_guardrails` says whether guardrails.yaml has anything in it."""
    found = [guard for is_off, guard in _OFF if is_off(settings)]
    found += [GuardOff(f"alarms.{name}: null", "this alarm is never raised") for name in _alarms_off(settings)]
    if not has_guardrails:
        found.append(GuardOff("guardrails.yaml is missing or empty", "no rule is applied to self-edits"))
    return tuple(found)


def since_round(guard: GuardOff, rounds: Sequence[tuple[int, Sequence[GuardOff]]]) -> str:
    """Return since when a guard has been off, in words; `rounds` has the rounds in order, with what was off in each."""
    with_it = [number for number, off in rounds if guard in off]
    if not with_it:
        return "not used in a round yet"
    without = [number for number, off in rounds if guard not in off]
    if without and without[-1] > with_it[-1]:
        return f"last used in round {with_it[-1]}"
    return f"since round {next(number for number in with_it if not without or number > without[-1])}"


def _alarms_off(settings: Settings) -> list[str]:
    return [name for name in AlarmSettings.model_fields if getattr(settings.alarms, name) is None]
