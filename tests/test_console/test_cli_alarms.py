"""Alarms on the command line: listed, shown with evidence, cleared by a person with a reason; and what `run` says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from store.alarms import active_alarms, raise_alarm
from store.rounds import open_round
from tests.test_console.cli_scenario import fake_worker

if TYPE_CHECKING:
    from store.workspace import Workspace
    from tests.test_console.cli_scenario import CandidateMaker, CliCaller

EVIDENCE: dict[str, Any] = {
    "figure": "echo", "tasks": 24, "tasks_at_the_limit": 24, "share_at_least": 0.816, "limit": 0.8, "mean": 0.95,
    "mean_before": 0.2, "earlier_round": 1,
    "examples": [{
        "task": "Returns", "candidate": "sha256:1", "self_edit": "The \x1b[2Jshop", "question": "How long?",
        "expected": "30 days", "commonest": "14 days",
    }],
}  # fmt: skip


@pytest.fixture
def raised(maker: CandidateMaker) -> CandidateMaker:
    maker.examined(0.5)
    current = open_round(maker.db)
    assert current is not None
    raise_alarm(maker.db, current.number, "echo", EVIDENCE)
    raise_alarm(maker.db, current.number, "self-edits alike", {**EVIDENCE, "figure": "likeness"})
    return maker


def test_without_active_alarms_list_says_so(maker: CandidateMaker, call: CliCaller) -> None:
    root = maker.workspace.root
    assert "No active alarms." in call("-w", root, "alarms", "list").out
    assert call("-w", root, "alarms", "list", "--json").objects == []
    assert call("-w", root, "alarms", "show", "1").code == 2


def test_active_alarms_are_listed_and_shown_with_their_evidence(raised: CandidateMaker, call: CliCaller) -> None:
    root = raised.workspace.root
    listed = call("-w", root, "alarms", "list")
    assert (listed.code, listed.out.count("! active")) == (0, 2)
    shown = call("-w", root, "alarms", "show", "echo")
    for part in (
        "Alarm 1: echo",
        "in 24 of 24 tasks",
        "mean 20.0% in round 1, 95.0% now",
        "mostly 14 days",
        "The ␛[2Jshop",
    ):
        assert part in shown.out
    assert "\x1b" not in shown.out
    (found,) = call("-w", root, "alarms", "show", "1", "--json").objects
    assert (found["active"], found["evidence"]["limit"], found["cleared"]) == (True, 0.8, None)


def test_an_alarm_is_cleared_once_by_somebody_with_a_reason(raised: CandidateMaker, call: CliCaller) -> None:
    root = raised.workspace.root
    assert call("-w", root, "alarms", "clear", "1").code == 2
    cleared = call("-w", root, "alarms", "clear", "1", "--reason", "a list of prices", "--as", "ada")
    assert (cleared.code, cleared.out) == (0, "Alarm 1 “echo” of round 1 is cleared, by ada.\n")
    assert [alarm.id for alarm in active_alarms(raised.db)] == [2]
    again = call("-w", root, "alarms", "clear", "echo", "--reason", "again")
    assert again.code == 3
    assert "a list of prices" in again.err
    (found,) = call("-w", root, "alarms", "clear", "self-edits alike", "--reason", "meant", "--json").objects
    assert found["cleared"]["reason"] == "meant"
    assert call("-w", root, "alarms", "list", "--json").objects == []
    assert "✓ cleared by ada: a list of prices" in call("-w", root, "alarms", "list", "--all").out
    assert call("-w", root, "verify").code == 0


def _round(**more: Any) -> dict[str, Any]:
    return {"number": 3, "candidates": 4, "refused": 0, "kept": [], "mean_reward": 0.1, **more}


@pytest.mark.parametrize(
    ("result", "code", "said"),
    [
        ({"rounds": [_round(alarms=[], acceptance=None)], "alarming": False}, 0, ""),
        ({"rounds": [_round(alarms=[{"id": 4, "name": "echo"}])], "alarming": True}, 6, "round 3 raised 4 “echo”"),
        (
            {
                "rounds": [_round(alarms=[], acceptance={"said": "An alarm is active.", "alarms": [2]})],
                "alarming": True,
            },
            6,
            "An earlier alarm is active. Nothing was accepted automatically",
        ),
        (
            {
                "rounds": [_round(acceptance={"said": "Accepted automatically as v0002.", "alarms": []})],
                "alarming": False,
            },
            0,
            "",
        ),
    ],
)
def test_run_reports_alarms_by_text_and_exit_code(
    workspace: Workspace, call: CliCaller, result: dict[str, Any], code: int, said: str
) -> None:
    call.worker_command = fake_worker(workspace.root, f"say(result=json.loads({json.dumps(json.dumps(result))}))\n")
    called = call("-w", workspace.root, "run")
    assert called.code == code
    assert said in called.err
    for summary in result["rounds"]:
        assert (summary.get("acceptance") or {"said": ""})["said"] in called.out
    as_json = call("-w", workspace.root, "run", "--json")
    assert as_json.code == code
    assert as_json.objects[0]["alarming"] == result["alarming"]
