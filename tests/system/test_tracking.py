"""A round reports its figures to the file of `tracking.file`, as the store records them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml

from engine.loop.round import run_round
from engine.loop.session import open_session
from engine.trackers.summary import DROPPED_POLICY, HeldOutFigure, HeldOutFigures, RoundSummary, published
from tests.system.workspaces import small_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from engine.runtime.progress import Progress

SMALL_ROUND = {
    "round": {"tasks_per_round": 2, "held_out_tasks": 1, "held_out_edits": 1},
    "self_edit": {"per_task": 2, "max_new_tokens": 96},
}


def test_a_round_appends_its_figures_to_the_tracking_file(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path / "w", pages=4)
    workspace.settings_file.write_text(yaml.safe_dump({**SMALL_ROUND, "tracking": {"file": "figures.jsonl"}}))
    with open_session(workspace, "test") as session:
        finished = run_round(session)
    lines = [json.loads(line) for line in (workspace.root / "figures.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines if line["event"].startswith("round_")] == ["round_began", "round_ended"]
    assert (lines[0]["train_tasks"], lines[0]["held_out_tasks"]) == (2, 1)
    assert lines[0]["resumed"] is False
    assert lines[-1]["summary"] == published(finished.summary or {})
    metrics = [line for line in lines if line["event"] == "metric"]
    assert {line["round"] for line in metrics} == {1}
    assert {line["name"] for line in metrics if "step" in line} <= {"policy_loss"}
    figures = {line["name"]: line["value"] for line in lines if line["event"] == "metric"}
    assert figures["mean_reward"] == (finished.summary or {})["mean_reward"]


def test_a_resumed_round_says_that_it_is_resumed(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path / "w", pages=4)
    workspace.settings_file.write_text(yaml.safe_dump({**SMALL_ROUND, "tracking": {"file": "figures.jsonl"}}))

    def stop(progress: Progress) -> None:
        if progress.stage == "inner updates":
            raise KeyboardInterrupt

    with open_session(workspace, "test", stop) as session, pytest.raises(KeyboardInterrupt):
        run_round(session)
    with open_session(workspace, "test") as session:
        run_round(session)
    lines = [json.loads(line) for line in (workspace.root / "figures.jsonl").read_text().splitlines()]
    assert [line["resumed"] for line in lines if line["event"] == "round_began"] == [False, True]


def test_a_dropped_policy_has_no_version_for_other_programs() -> None:
    figures = HeldOutFigures(HeldOutFigure(0.5, None, "x"), HeldOutFigure(0.4, DROPPED_POLICY, "x"))
    summary = RoundSummary(1, [], 0, None, figures).as_json()
    assert published(summary)["held_out"]["after"] == {**summary["held_out"]["after"], "policy_version": None}
    assert published(summary)["held_out"]["before"] == summary["held_out"]["before"]
    assert summary["held_out"]["after"]["policy_version"] == DROPPED_POLICY


def test_a_tracking_file_that_cannot_be_written_is_reported_and_does_not_fail_the_round(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path / "w", pages=4)
    (workspace.root / "figures").mkdir()
    workspace.settings_file.write_text(yaml.safe_dump({**SMALL_ROUND, "tracking": {"file": "figures/f.jsonl"}}))
    notes: list[str] = []
    with open_session(workspace, "test", lambda progress: notes.append(progress.note or "")) as session:
        (workspace.root / "figures").rmdir()
        assert run_round(session).state == "done"
    (note,) = [note for note in notes if note.startswith("tracking.file")]
    assert "figures/f.jsonl: No such file or directory" in note
