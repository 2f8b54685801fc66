"""The ladder: every rung on made-up passages, continued where it stopped; another experiment's folder is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.demo.documents import write_documents
from engine.lab.ladder.bench import reworded
from engine.lab.ladder.run import run_ladder
from engine.runtime.progress import ignore_progress
from store.errors import WrongUseError
from tests.published_run import write_published_run


@pytest.fixture(scope="module")
def parameters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("ladder")
    documents = write_documents(root, pages=6, notes=0, untouched=0, seed=3)
    return {
        "model": "bundled", "passages": str(documents.pages), "train": 2, "held_out": 2, "questions": 3, "rounds": 1,
        "edits": 2, "held_out_edits": 1, "general": 4, "seed": 0, "joined": 1,
        "warm_up_passages": 0, "warm_up_taught": 0,
        "work": str(root / "work"), "set": ("self_edit.format=self-qa",),
    }  # fmt: skip


@pytest.fixture(scope="module")
def result(parameters: dict[str, Any]) -> dict[str, Any]:
    return run_ladder(parameters, ignore_progress)


def test_every_rung_is_measured(result: dict[str, Any]) -> None:
    rungs = result["rungs"]
    expected = ["base", "passage in view", "bare passage", "untrained self-edits", "after round 1", "gold answers"]
    assert list(rungs) == expected
    for rung in rungs.values():
        low, high = rung["interval_95"]
        assert 0 <= low <= rung["accuracy"] <= high <= 1
        assert rung["right"] == sum(right for right, _, _ in rung["per_passage"])
        assert (rung["questions"], rung["passages"]) == (6, 2)
    assert rungs["gold answers"]["accuracy"] > rungs["base"]["accuracy"]
    assert rungs["passage in view"]["reworded"] is None
    assert rungs["base"]["reworded"] is not None
    assert rungs["base"]["general"] is None
    assert rungs["bare passage"]["general"]["asked"] == 8
    assert 0 <= rungs["gold answers"]["general"]["after"] <= 8
    [first_round] = result["rounds"]
    assert (first_round["questions"], first_round["of"]) == (6, 2)
    assert result["settings"]["self_edit"]["format"] == "self-qa"
    json.dumps(result)


def test_what_is_done_is_not_done_again(result: dict[str, Any], parameters: dict[str, Any]) -> None:
    work = Path(parameters["work"])
    (work / "gold-0000.json").unlink()
    before = {file: file.stat().st_mtime_ns for file in work.rglob("*") if file.is_file()}
    again = run_ladder(parameters, ignore_progress)
    assert again["rungs"] == result["rungs"]
    assert {file: file.stat().st_mtime_ns for file in before} == before


def test_a_folder_of_another_experiment_is_refused(result: dict[str, Any], parameters: dict[str, Any]) -> None:
    assert result
    with pytest.raises(WrongUseError, match="holds another experiment"):
        run_ladder({**parameters, "seed": 1}, ignore_progress)


def test_too_few_passages_are_said(parameters: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(WrongUseError, match="more than there are: 6 and 0"):
        run_ladder({**parameters, "train": 6, "held_out": 1, "work": str(tmp_path)}, ignore_progress)


def test_a_teachers_passages_are_held_out(parameters: dict[str, Any], tmp_path: Path) -> None:
    run = write_published_run(tmp_path / "run.json", evaluation=True)
    size = {"train": 1, "held_out": 1, "rounds": 0, "work": str(tmp_path / "work"), "questions": 3}
    found = run_ladder({**parameters, **size, "teacher": str(run)}, ignore_progress)
    assert found["rungs"]["teacher's self-edits"]["passages"] == 1


def test_other_words_keep_the_question() -> None:
    assert reworded("Who leads it?") == "Here is something that I would like to know: who leads it. What is the answer?"
