"""The worker's protocol: one last word, the right exit status, nothing else on stdout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from store.errors import ExitCode
from store.workspace import create_workspace
from tests.system.workspaces import last_word, start_worker

if TYPE_CHECKING:
    from pathlib import Path


def _last_word(operation: str, parameters: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return last_word(start_worker(operation, parameters))


def test_an_unknown_operation_is_wrong_use() -> None:
    status, message = _last_word("dance", {})
    assert status == ExitCode.WRONG_USE
    assert "run, evaluate, demo" in message["error"]["message"]


def test_an_expected_error_keeps_its_kind_and_its_next_step(tmp_path: Path) -> None:
    workspace = create_workspace(tmp_path / "w", "model: {path: bundled}\n")
    status, message = _last_word("run", {"workspace": str(workspace.root), "rounds": 1})
    assert status == ExitCode.NOTHING_TO_DO
    assert message["error"]["kind"] == "NothingToDoError"
    assert "tasks add" in message["error"]["next_step"]


def test_all_problems_of_the_settings_arrive(tmp_path: Path) -> None:
    workspace = create_workspace(tmp_path / "w", "model: {pth: bundled}\nround: {sed: 1}\n")
    status, message = _last_word("run", {"workspace": str(workspace.root), "rounds": 1})
    assert status == ExitCode.WRONG_USE
    assert len(message["error"]["problems"]) == 2
    assert any("'path'" in problem for problem in message["error"]["problems"])


def test_an_unexpected_failure_leaves_a_report(tmp_path: Path) -> None:
    workspace = create_workspace(tmp_path / "w", "model: {path: bundled}\n")
    status, message = _last_word("run", {"workspace": str(workspace.root), "rounds": "several"})
    assert status == ExitCode.FAILED
    assert "ValueError" in message["error"]["message"]
    [report] = (workspace.root / "cache" / "reports").iterdir()
    assert str(report) in message["error"]["next_step"]
    assert "Traceback" in report.read_text()
