"""The page on alarms agrees with the program: its alarms, its defaults, its worked example."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.alarms.chance import combined_p_value, fall, least_share
from engine.alarms.rules import RULES
from engine.settings.sections import AcceptanceSettings, AlarmSettings
from seal_console.render_alarm import MEANINGS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "alarms.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    text = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|") and not line.startswith("|---")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines[1:]]


def test_every_alarm_is_on_the_page_and_has_a_meaning() -> None:
    assert {row[0] for row in rows("The alarms")} == set(RULES) == set(MEANINGS)


@pytest.mark.parametrize(
    ("heading", "section"), [("Settings", AlarmSettings), ("Automatic acceptance", AcceptanceSettings)]
)
def test_every_setting_is_on_the_page_with_its_default(
    heading: str, section: type[AlarmSettings | AcceptanceSettings]
) -> None:
    in_page = {key: default for key, default, _ in rows(heading)}
    assert in_page == {key: json.dumps(info.default) for key, info in section.model_fields.items()}


def test_the_figures_of_the_worked_example_are_those_of_the_program() -> None:
    before = {f"t{number}": 0.6 for number in range(20)}
    now = {task: 0.4 if number < 14 else 0.6 for number, task in enumerate(before)}
    found = fall(before, now)
    assert found is not None
    assert (found.p_value, round(found.by, 9)) == (0.5**14, 0.14)
    assert combined_p_value([found.p_value, 0.58]) == pytest.approx(0.0004, abs=0.00005)
    assert [round(least_share(count, count, 0.01), 2) for count in (3, 12)] == [0.36, 0.69]
    assert "(½)¹⁴ ≈ 0.00006" in PAGE
