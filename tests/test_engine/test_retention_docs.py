"""The page on retention agrees with the program: its example, its figures, its defaults."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from engine.gates.retention import paired_p_value
from engine.retention.matrix import Matrix, MatrixColumn, figures
from engine.retention.reading import read_suites
from engine.retention.suites import losses_allowed
from engine.settings.sections import ProtectionSettings, RetentionSettings

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "retention.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    return PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|") and not line.startswith("|---")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]


def test_the_example_of_a_suite_can_be_read(tmp_path: Path) -> None:
    [example] = re.findall(r"```yaml\n(.*?)```", section("Suites"), re.DOTALL)
    path = tmp_path / "example.yaml"
    path.write_text(example, encoding="utf-8")
    [suite] = read_suites([path]).suites
    assert (suite.name, suite.allowed_losses, len(suite.prompts), len(suite.anchors)) == ("opening-times", 2, 3, 1)
    assert suite.prompts[0].answers == ("9", "nine")


def test_the_figures_of_the_worked_example_are_those_of_the_program() -> None:
    assert (paired_p_value(3, 0), paired_p_value(5, 1), paired_p_value(5, 0)) == (0.125, 7 / 64, 1 / 32)
    assert "p = (½)³ = 0.125" in PAGE
    assert "7/64 ≈ 0.109" in PAGE
    assert "1/32 ≈ 0.031" in PAGE
    assert (losses_allowed(0.05, 40), losses_allowed(0.05, 39)) == (2, 1)


def test_the_matrix_on_the_page_has_the_figures_below_it() -> None:
    head, *lines = rows(section("The forgetting matrix"))
    columns = tuple(MatrixColumn(tag, "", 4) for tag in head[1:])
    cells = tuple(tuple(map(float, line[1:])) for line in lines)
    found = figures(Matrix(tuple(line[0] for line in lines), columns, cells))
    assert [edit["gained"] for edit in found["edits"]] == [1, 0.5, 0.75]
    assert found["mean_gained"] == found["mean_now"] == pytest.approx(0.75)
    assert found["backward_transfer"] == pytest.approx(-0.25)


def test_every_setting_is_on_the_page_with_its_default() -> None:
    in_page = {key: default for key, default, _ in rows(section("Settings"))[1:]}
    defaults = {key: info.default for key, info in RetentionSettings.model_fields.items()}
    assert in_page == {key: value if isinstance(value, str) else json.dumps(value) for key, value in defaults.items()}


def test_every_setting_of_protection_is_on_the_page_with_its_default() -> None:
    in_page = {key: default for key, default, _ in rows(section("Updates that forget little"))[1:]}
    defaults = {key: json.dumps(info.default) for key, info in ProtectionSettings.model_fields.items()}
    assert in_page == defaults
