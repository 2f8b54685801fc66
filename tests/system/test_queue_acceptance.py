"""Automatic acceptance by the engine that a console starts: who and why is kept; an alarm stops it until cleared."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from engine.loop.accept import ACTOR
from seal_console.cli.main import main
from seal_console.engine_control import LOG_NAME
from store.adapter_files import MANIFEST_NAME
from store.alarms import active_alarms
from store.candidates import decisions_of, gates_needing_review, get_candidate, list_candidates
from store.database import open_database
from store.jobs import add_job, get_job
from store.verify import verify
from store.version_rows import get_version, list_versions, live_version
from tests.system.accepting import ALARMING, accepting_workspace, change_settings
from tests.system.engine_process import ended, eventually, is_alive, started_engines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlite_utils import Database

    from store.workspace import Workspace

QUIET = {"alike": None}


@pytest.fixture
def engines() -> Iterator[Callable[[Workspace], int]]:
    with started_engines() as start:
        yield start


def _hold_the_first_task(workspace: Workspace, db: Database) -> str:
    """Let a rule hold every self-edit of a task; returns the task's id."""
    [task_id, title] = next(iter(db.execute("SELECT id, title FROM tasks ORDER BY rowid")))
    rule = {"rule": "first", "kind": "topics", "words": [title], "verdict": "review", "applies_to": "sequences"}
    workspace.guardrails_file.write_text(yaml.safe_dump({"rules": [rule]}), encoding="utf-8")
    return str(task_id)


def _asked_for(db: Database, workspace: Workspace, engines: Callable[[Workspace], int], rounds: int) -> dict[str, Any]:
    """Ask for rounds as a console does and return the request's result; the engine has ended by then."""
    request = add_job(db, "run", {"rounds": rounds}, "Ada")
    pid = engines(workspace)
    assert ended(db, request.id) == "done", get_job(db, request.id).result
    eventually(lambda: not is_alive(pid), "the engine has ended")
    return get_job(db, request.id).result or {}


def test_a_served_round_accepts_the_best_of_what_nothing_holds_and_the_next_round_begins_there(
    tmp_path: Path, engines: Callable[[Workspace], int]
) -> None:
    workspace = accepting_workspace(tmp_path / "w", alarms=QUIET)
    with closing(open_database(workspace.database_file)) as db:
        held_task = _hold_the_first_task(workspace, db)
        result = _asked_for(db, workspace, engines, rounds=2)
        assert [one["acceptance"]["version"] for one in result["rounds"]] == ["v0001", "v0002"]
        assert live_version(db) == 2
        for number, version in enumerate(list_versions(db), 1):
            candidates = list_candidates(db, round_number=number)
            free = [one for one in candidates if not gates_needing_review(db, one.id)]
            assert {one.task_id for one in candidates if one not in free} == {held_task}
            accepted = get_candidate(db, version.candidate_id)
            assert accepted.reward_mean == max(one.reward_mean or 0.0 for one in free)
            assert accepted.task_id != held_task
            assert (accepted.state, accepted.live_version) == ("accepted", None if number == 1 else 1)
            [decision] = decisions_of(db, accepted.id)
            assert (decision.action, decision.actor, version.accepted_by) == ("accept", ACTOR, ACTOR)
            assert decision.reason == version.reason
            assert f"best of round {number}: reward" in version.reason
        checked_out = json.loads((workspace.adapters_folder / MANIFEST_NAME).read_bytes())
        assert (checked_out["number"], checked_out["decision"]["actor"]) == (2, ACTOR)
        assert verify(workspace, db).problems == []
    said = (workspace.cache_folder / LOG_NAME).read_text(encoding="utf-8")
    assert "Accepted automatically as v0001" in said


def test_a_queued_round_accepts_nothing_while_an_alarm_is_active(
    tmp_path: Path, engines: Callable[[Workspace], int], capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = accepting_workspace(tmp_path / "w", alarms=ALARMING)
    with closing(open_database(workspace.database_file)) as db:
        withheld = _asked_for(db, workspace, engines, rounds=1)
        assert withheld["alarming"]
        assert withheld["rounds"][0]["acceptance"]["alarms"] == [1]
        assert (live_version(db), [alarm.name for alarm in active_alarms(db)]) == (None, ["self-edits alike"])
        assert "alarms clear 1" in (workspace.cache_folder / LOG_NAME).read_text(encoding="utf-8")
        change_settings(workspace, alarms=QUIET)
        clear = ["-w", str(workspace.root), "alarms", "clear", "1", "--as", "Ada", "--reason", "nearly the same page"]
        assert main(clear) == 0
        capsys.readouterr()
        accepted = _asked_for(db, workspace, engines, rounds=1)
        assert (accepted["alarming"], accepted["rounds"][0]["acceptance"]["version"]) == (False, "v0001")
        assert get_candidate(db, get_version(db, 1).candidate_id).round_number == 2
        assert verify(workspace, db).problems == []
    assert main(["-w", str(workspace.root), "versions", "show", "v0001", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["accepted_by"], "best of round 2" in shown["reason"]) == (ACTOR, True)
