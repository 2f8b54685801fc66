"""An external judge of self-edits: what it stops, holds and records, and that nothing is asked twice."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from engine.loop.accept import accept_candidate
from engine.loop.round import run_round
from engine.loop.session import open_session
from engine.writers.writer import UnreachableError
from seal_console.cli.main import main
from store.candidates import gates_needing_review, inner_updates_of, list_candidates
from store.database import fetch_value, open_database
from store.errors import WrongUseError
from store.events import events_after
from store.rounds import list_rounds
from store.verify import verify
from tests.judge_server import ALLOWED, NOT_ALLOWED, LocalJudge, local_judge
from tests.system.guardrail_workspaces import gates, small, write_policy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from store.workspace import Workspace


@pytest.fixture
def judge() -> Iterator[LocalJudge]:
    with local_judge() as serving:
        yield serving


def write_judge(workspace: Workspace, judge: LocalJudge, **keys: Any) -> None:
    section = {"url": judge.url, "model": "m", "constitution": "Be kind.", "timeout_s": 30, "attempts": 1, **keys}
    write_policy(workspace, judge=section)


def test_a_judge_is_asked_before_training_and_what_it_does_not_allow_waits_for_a_person(
    tmp_path: Path, judge: LocalJudge, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = small(tmp_path / "w", held_out=1, pages=3)
    judge.says(ALLOWED, NOT_ALLOWED, ":")
    write_judge(workspace, judge)
    with open_session(workspace, "test") as session:
        run_round(session)
        found = list_candidates(session.db)
        verdicts = [gates(session, one)["judge"] for one in found]
        assert {one.state for one in found} == {"examined"}
        assert sum(gate.passed for gate in verdicts) == 1
        assert len([one for one in found if gates_needing_review(session.db, one.id)]) == len(found) - 1
        held = next(one for one in found if gates(session, one)["judge"].evidence.get("allowed") is False)
        assert verify(workspace, session.db).problems == []
    asked = {request["messages"][1]["content"] for request in judge.requests}
    assert len(asked) == len(judge.requests) == len(found)
    assert main(["-w", str(workspace.root), "review", "show", held.id]) == 0
    assert "not allowed by “No prices”, says m" in capsys.readouterr().out


def test_what_a_judge_denies_is_never_trained_and_what_a_rule_denies_is_never_shown_to_a_judge(
    tmp_path: Path, judge: LocalJudge
) -> None:
    workspace = small(tmp_path / "w")
    judge.says(NOT_ALLOWED)
    write_judge(workspace, judge, verdict="deny")
    with open_session(workspace, "test") as session:
        run_round(session)
        for one in list_candidates(session.db):
            assert (one.state, inner_updates_of(session.db, one.id)) == ("refused", [])
        asked = len(judge.requests)
        policy = yaml.safe_load(workspace.guardrails_file.read_text(encoding="utf-8"))
        policy["rules"] = [{"rule": "nothing", "kind": "pattern", "patterns": ["."]}]
        write_policy(workspace, **policy)
        run_round(session)
        assert {one.state for one in list_candidates(session.db, round_number=2)} == {"refused"}
        assert len(judge.requests) == asked == 2


def test_a_judge_that_is_asked_late_sees_only_what_passed_its_own_tasks_gates(
    tmp_path: Path, judge: LocalJudge
) -> None:
    workspace = small(tmp_path / "w")
    judge.says(NOT_ALLOWED)
    write_judge(workspace, judge, verdict="deny", asks="kept")
    with open_session(workspace, "test") as session:
        strict = session.settings.gates.model_copy(update={"min_reward": 1.0})
        run_round(session.under(session.settings.model_copy(update={"gates": strict})))
        assert judge.requests == []
        run_round(session)
        for one in list_candidates(session.db, round_number=2):
            assert (one.state, len(inner_updates_of(session.db, one.id))) == ("refused", 1)
        assert len(judge.requests) == 2


def test_a_resumed_round_asks_a_judge_nothing_twice(
    tmp_path: Path, judge: LocalJudge, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    workspace = small(tmp_path / "w")
    judge.says(":")
    write_judge(workspace, judge)
    with monkeypatch.context() as patched, open_session(workspace, "test") as session:
        patched.setattr("engine.loop.evaluate.evaluate_candidates", stop)
        with pytest.raises(KeyboardInterrupt):
            run_round(session)
    assert len(judge.requests) == 2
    with open_session(workspace, "test") as session:
        run_round(session)
        assert all(gates_needing_review(session.db, one.id) for one in list_candidates(session.db))
    assert len(judge.requests) == 2


def test_a_judge_that_cannot_be_reached_holds_everything_and_is_asked_once(tmp_path: Path, judge: LocalJudge) -> None:
    workspace = small(tmp_path / "w")
    judge.replies = [(401, b"")]
    write_judge(workspace, judge, at_once=1)
    with open_session(workspace, "test") as session:
        run_round(session)
        for one in list_candidates(session.db):
            [gate] = gates_needing_review(session.db, one.id)
            assert judge.url in gate.evidence["unreachable"]
    assert len(judge.requests) == 1
    [line] = (workspace.cache_folder / "judge.jsonl").read_text(encoding="utf-8").splitlines()
    assert "status 401" in json.loads(line)["failure"]


def test_a_judge_that_is_asked_several_at_once_gives_the_verdicts_and_the_records_of_one_by_one(
    tmp_path: Path, judge: LocalJudge
) -> None:
    contents = [NOT_ALLOWED, ":", ALLOWED]
    judge.answer = lambda request: contents[sum(request["messages"][1]["content"].encode()) % len(contents)]
    recorded = []
    for at_once in (1, 4):
        workspace = small(tmp_path / str(at_once), per_task=4)
        judge.together = threading.Barrier(at_once)
        write_judge(workspace, judge, at_once=at_once, verdict="deny")
        with open_session(workspace, "test") as session:
            run_round(session)
            found = list_candidates(session.db)
            verdicts = [(one.id, one.state, gates(session, one)["judge"]) for one in found]
            said = [(*one, gate.passed, gate.on_failure, gate.evidence) for *one, gate in verdicts]
            judged = [
                event.payload["id"] for event in events_after(session.db, 0) if event.kind == "candidate.examined"
            ]
        calls = (workspace.cache_folder / "judge.jsonl").read_text(encoding="utf-8").splitlines()
        recorded.append((said, judged, sorted(json.loads(line)["request"] for line in calls)))
    assert recorded[0] == recorded[1]
    assert {one[1] for one in recorded[0][0]} == {"examined", "refused"}
    assert len(recorded[0][2]) == len(set(recorded[0][2])) == 8


def test_an_unreachable_judge_can_stop_the_round_which_resumes_later(tmp_path: Path, judge: LocalJudge) -> None:
    workspace = small(tmp_path / "w")
    judge.replies = [(503, b"")]
    write_judge(workspace, judge, when_unreachable="stop")
    with open_session(workspace, "test") as session, pytest.raises(UnreachableError):
        run_round(session)
    db = open_database(workspace.database_file)
    assert [one.state for one in list_rounds(db)] == ["interrupted"]
    assert fetch_value(db, "SELECT count(*) FROM inner_updates") == 0
    judge.says(ALLOWED)
    write_judge(workspace, judge, url=judge.url.replace("127.0.0.1", "localhost"))
    with open_session(workspace, "test") as session:
        run_round(session)
        assert "localhost" in gates(session, list_candidates(session.db)[0])["judge"].evidence["url"]
        assert all(gates(session, one)["judge"].passed for one in list_candidates(session.db))
    assert [one.state for one in list_rounds(db)] == ["done"]
    db.close()


def test_the_judges_key_is_stored_nowhere_even_if_the_endpoint_sends_it_back(
    tmp_path: Path, judge: LocalJudge, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "sk-test-0123456789abcdef"
    monkeypatch.setenv("JUDGE_KEY", key)
    workspace = small(tmp_path / "w")
    judge.says(json.dumps({"allowed": False, "rule": key, "reason": f"your key is {key}"}))
    write_judge(workspace, judge, api_key_env="JUDGE_KEY")
    with open_session(workspace, "test") as session:
        run_round(session)
        [first, _] = list_candidates(session.db)
        accept_candidate(workspace, session.db, first.id, actor="Ada", reason="fine")
    assert judge.headers[0]["authorization"] == f"Bearer {key}"
    files = [path for path in workspace.root.rglob("*") if path.is_file()]
    assert [path for path in files if key.encode() in path.read_bytes()] == []


def test_a_key_that_is_not_there_stops_a_round_before_anything_is_trained(tmp_path: Path, judge: LocalJudge) -> None:
    workspace = small(tmp_path / "w")
    write_judge(workspace, judge, api_key_env="JUDGE_KEY_THAT_NOBODY_SET")
    with open_session(workspace, "test") as session:
        with pytest.raises(WrongUseError, match="JUDGE_KEY_THAT_NOBODY_SET, which is not set"):
            run_round(session)
        assert fetch_value(session.db, "SELECT count(*) FROM inner_updates") == 0
    assert judge.requests == []
