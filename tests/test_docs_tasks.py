"""The examples on the page about tasks are valid, and its table of graders is true."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.graders.registry import DEFAULT_GRADER, grade_answer, grader_names
from engine.tasks.reading import read_tasks
from seal_console.cli.main import main

if TYPE_CHECKING:
    from store.records import Question

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "tasks.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
FILES = {
    section: dict(re.findall(r'^```\w+ title="([^"]+)"\n(.*?)^```', text, re.MULTILINE | re.DOTALL))
    for section, text in SECTIONS.items()
}
WITH_VALID_FILES = [section for section, files in FILES.items() if files and section != "Problems"]


def write(folder: Path, section: str) -> Path:
    for name, text in FILES[section].items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def questions(tmp_path: Path) -> dict[str, Question]:
    (task,) = read_tasks([write(tmp_path, "Graders")], audit_share=0.0).tasks
    return {question.grader: question for question in task.questions}


@pytest.mark.parametrize("section", WITH_VALID_FILES)
def test_the_files_on_the_page_are_valid(
    section: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(write(tmp_path, section))
    assert main(["tasks", "check", "."]) == 0, capsys.readouterr().err


def test_every_kind_of_file_has_an_example() -> None:
    suffixes = {Path(name).suffix for section in WITH_VALID_FILES for name in FILES[section]}
    assert suffixes == {".md", ".yaml", ".jsonl", ".json"}


def test_the_problem_on_the_page_is_what_the_check_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(write(tmp_path, "Problems"))
    assert main(["tasks", "check", "wrong.yaml"]) == 2
    reported = [line.removeprefix("  • ") for line in capsys.readouterr().err.splitlines() if line.startswith("  • ")]
    (shown,) = re.findall(r"^```text\n(.*?)^```", SECTIONS["Problems"], re.MULTILINE | re.DOTALL)
    assert reported == shown.splitlines()


def test_the_table_of_graders_is_complete_and_true(questions: dict[str, Question]) -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\| `([^`]+)` \| `([^`]+)` \|$", SECTIONS["Graders"], re.MULTILINE)
    assert [name for name, _, _ in rows] == list(questions)
    assert set(questions) <= set(grader_names())
    assert DEFAULT_GRADER in questions
    for name, right, wrong in rows:
        assert (grade_answer(questions[name], right).correct, grade_answer(questions[name], wrong).correct) == (
            True,
            False,
        ), name
