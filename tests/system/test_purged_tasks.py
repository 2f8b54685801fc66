"""After a purge the workspace works on: rounds leave the task out, and what is left of its candidates is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.loop.round import run_round
from engine.loop.session import open_session
from seal_console.cli.main import main
from store.candidates import list_candidates
from store.purging import purge_task
from store.tasks import list_tasks
from tests.system.workspaces import small_workspace

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


RULES = "rules:\n  - {rule: none, kind: pattern, verdict: note, patterns: [never said]}\n"


def test_rounds_go_on_after_a_purge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = small_workspace(tmp_path / "w", pages=3, train=3, held_out=0, per_task=1, epochs=1)
    settings = workspace.settings_file.read_text(encoding="utf-8")
    workspace.settings_file.write_text(settings.replace("min_reward: null", "min_reward: -1"), encoding="utf-8")
    workspace.guardrails_file.write_text(RULES, encoding="utf-8")
    with open_session(workspace, "test") as session:
        run_round(session)
        purged = list_tasks(session.db)[0].task.id
        purge_task(session.db, purged, "Ada", "it names a customer")
        assert run_round(session).state == "done"
        second = list_candidates(session.db, round_number=2)
        assert len(second) == 2
        assert purged not in {candidate.task_id for candidate in second}
        (blank,) = list_candidates(session.db, task_id=purged)
    at = ["-w", str(workspace.root)]
    assert main([*at, "review", "show", blank.id]) == 0
    assert "no evidence kept" in capsys.readouterr().out
    assert main([*at, "guardrails", "check", "--candidate", blank.id]) == 2
    assert "was purged" in capsys.readouterr().err
    assert main([*at, "verify"]) == 0
