from __future__ import annotations

from pathlib import Path

import pytest

from engine.settings.guards import GuardOff, guards_off, since_round
from engine.settings.reading import default_settings_text, settings_from_text
from engine.settings.sections import AlarmSettings, Settings

ONE, OTHER = GuardOff("a: null", "a"), GuardOff("b: null", "b")


def off(text: str, *, has_guardrails: bool = True) -> list[str]:
    settings = settings_from_text(text, Path("seal.yaml"))
    return [guard.setting for guard in guards_off(settings, has_guardrails=has_guardrails)]


def test_by_default_no_guard_is_off() -> None:
    assert off(default_settings_text()) == []
    assert guards_off(Settings(), has_guardrails=True) == ()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("gates: {min_reward: null}", "gates.min_reward: null"),
        ("gates: {min_audit_gain: null}", "gates.min_audit_gain: null"),
        ("retention: {gate: null}", "retention.gate: null"),
        ("acceptance: {automatic: true}", "acceptance.automatic: true"),
        ("model: {trust_remote_code: true}", "model.trust_remote_code: true"),
        ("alarms: {echo: null}", "alarms.echo: null"),
    ],
)
def test_each_is_named_as_in_the_file(text: str, named: str) -> None:
    assert off(text) == [named]


def test_every_alarm_that_can_be_switched_off_is_known() -> None:
    can_be = [name for name, field in AlarmSettings.model_fields.items() if "None" in str(field.annotation)]
    assert len(can_be) >= 6
    for name in can_be:
        assert off(f"alarms: {{{name}: null}}") == [f"alarms.{name}: null"]


def test_missing_guardrails_are_a_guard_that_is_off() -> None:
    assert off("", has_guardrails=False) == ["guardrails.yaml is missing or empty"]


@pytest.mark.parametrize(
    ("rounds", "said"),
    [
        ([], "not used in a round yet"),
        ([(1, [OTHER]), (2, [])], "not used in a round yet"),
        ([(1, [ONE]), (2, [ONE, OTHER])], "since round 1"),
        ([(1, [ONE]), (2, []), (4, [ONE]), (7, [ONE])], "since round 4"),
        ([(1, [ONE]), (2, [])], "last used in round 1"),
    ],
)
def test_since_when(rounds: list[tuple[int, list[GuardOff]]], said: str) -> None:
    assert since_round(ONE, rounds) == said
