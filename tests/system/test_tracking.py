"""A round reports its figures to the file of `tracking.file`, as the store records them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import yaml

from engine.loop.round import run_round
from engine.loop.session import open_session
from tests.system.workspaces import small_workspace

if TYPE_CHECKING:
    from pathlib import Path

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
    assert lines[-1]["summary"] == finished.summary
    figures = {line["name"]: line["value"] for line in lines if line["event"] == "metric"}
    assert figures["mean_reward"] == (finished.summary or {})["mean_reward"]


def test_a_tracking_file_that_cannot_be_written_is_reported_and_does_not_fail_the_round(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path / "w", pages=4)
    workspace.settings_file.write_text(yaml.safe_dump({**SMALL_ROUND, "tracking": {"file": "no/such/folder/f.jsonl"}}))
    notes: list[str] = []
    with open_session(workspace, "test", lambda progress: notes.append(progress.note or "")) as session:
        assert run_round(session).state == "done"
    (note,) = [note for note in notes if note.startswith("tracking.file")]
    assert "no/such/folder/f.jsonl: No such file or directory" in note
