"""Engines killed while candidates are judged or trained beside anchors: the round goes on to the same end."""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
import yaml

from engine.bundled.world import known_things
from store.candidates import answers_of, gates_of, inner_updates_of, list_candidates
from store.database import fetch_value, open_database
from store.durable import TEMPORARY_SUFFIX
from store.recovery import recover
from store.rounds import list_rounds
from store.verify import verify
from tests.judge_server import ALLOWED, NOT_ALLOWED, LocalJudge, local_judge
from tests.system.engine_process import eventually
from tests.system.workspaces import WORKER, last_word, small_workspace, start_worker

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Sequence

    from store.workspace import Workspace

DYING = str(Path(__file__).with_name("dying_worker.py"))
KNOWN = known_things()[0]
CITY = KNOWN.kind.relations[0]
RED_TEAM = {
    "prompts": [
        {
            "name": "city",
            "question": CITY.questions[0].format(n=KNOWN.name),
            "must": "answer",
            "answers": KNOWN.value(CITY),
            "verdict": "review",
        }
    ]
}
RULES = [
    {"rule": "digits", "kind": "pattern", "patterns": ["e[a-m]"], "verdict": "deny", "applies_to": "self-edit"},
    {"rule": "held", "kind": "pattern", "patterns": ["."], "verdict": "review"},
]
Outcome: TypeAlias = dict[str, Any]


@pytest.fixture(scope="module")
def judge() -> Iterator[LocalJudge]:
    """A judge that allows half of what it is asked about, and always the same half."""
    with local_judge() as serving:
        contents = [NOT_ALLOWED, ALLOWED]
        serving.answer = lambda request: contents[sum(request["messages"][1]["content"].encode()) % 2]
        yield serving


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, judge: LocalJudge) -> Outcome:
    """What a round under rules, a judge and red-team prompts comes to where nothing disturbs it."""
    return undisturbed(prepared(tmp_path_factory.mktemp("judged") / "w", everything(judge)))


@pytest.fixture(scope="module")
def protected(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """What a round beside anchors comes to where nothing disturbs it."""
    return undisturbed(prepared(tmp_path_factory.mktemp("protected") / "w", {}, anchors=32))


def prepared(folder: Path, policy: dict[str, Any], *, anchors: int = 0) -> Workspace:
    workspace = small_workspace(folder, pages=2, train=2, held_out=0, per_task=2, epochs=1)
    workspace.guardrails_file.write_text(yaml.safe_dump(policy), encoding="utf-8")
    lines = [json.dumps({"anchor": f"Question: What is {number}?\nAnswer: {number}"}) for number in range(anchors)]
    if lines:
        (workspace.retention_folder / "anchors.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return workspace


def judged_by(judge: LocalJudge, **keys: Any) -> dict[str, Any]:
    return {"url": judge.url, "model": "m", "constitution": "Be kind.", "timeout_s": 60, "verdict": "deny", **keys}


def everything(judge: LocalJudge) -> dict[str, Any]:
    return {"rules": RULES, "red_team": RED_TEAM, "judge": judged_by(judge)}


def started(workspace: Workspace, command: Sequence[str] = WORKER) -> subprocess.Popen[str]:
    return start_worker("run", {"workspace": str(workspace.root), "rounds": 1}, command)


def kill(worker: subprocess.Popen[str]) -> None:
    os.killpg(worker.pid, signal.SIGKILL)
    worker.communicate()


def died_at(workspace: Workspace, step: str) -> None:
    """Run until the engine kills itself there."""
    worker = started(workspace, (sys.executable, DYING, *step.split()))
    status, said = last_word(worker)
    assert status == -signal.SIGKILL, said


def finish(workspace: Workspace) -> None:
    status, message = last_word(started(workspace))
    assert status == 0, message


def what_came_of_it(workspace: Workspace) -> Outcome:
    """All that a round came to, but for when."""
    with closing(open_database(workspace.database_file)) as db:
        assert verify(workspace, db).problems == []
        [done] = list_rounds(db)
        assert done.state == "done"
        return {
            one.id: {
                "text": one.completion,
                "state": one.state,
                "reward": one.reward_mean,
                "adapter": one.adapter_hash,
                "gates": [(gate.gate, gate.passed, gate.on_failure, gate.evidence) for gate in gates_of(db, one.id)],
                "answers": [(answer.question_id, answer.repeat, answer.text) for answer in answers_of(db, one.id)],
                "updates": [(update.seed, update.adapter_hash) for update in inner_updates_of(db, one.id)],
            }
            for one in list_candidates(db)
        } | {"kept": (done.summary or {})["kept"], "policy": done.new_policy_version}


def undisturbed(workspace: Workspace) -> Outcome:
    finish(workspace)
    return what_came_of_it(workspace)


def nothing_half_done_is_seen(workspace: Workspace) -> None:
    """Look as the next command does: what is only proposed has nothing, and all else is whole."""
    with closing(open_database(workspace.database_file)) as db:
        recover(workspace, db)
        assert verify(workspace, db).problems == []
        assert [one.state for one in list_rounds(db)] == ["interrupted"]
        for one in list_candidates(db):
            found = (gates_of(db, one.id), answers_of(db, one.id), inner_updates_of(db, one.id), one.adapter_hash)
            assert (one.state == "proposed") == (found == ([], [], [], None))
    assert list(workspace.root.rglob(f"*{TEMPORARY_SUFFIX}")) == []


@pytest.mark.parametrize("asks", ["every", "kept"])
def test_a_round_killed_during_a_judge_call_resumes_to_the_same_result(
    tmp_path: Path, judge: LocalJudge, asks: str
) -> None:
    policy = {"judge": judged_by(judge, asks=asks, at_once=2)}
    expected = undisturbed(prepared(tmp_path / "undisturbed", policy))
    killed = prepared(tmp_path / "killed", policy)
    asked = len(judge.requests)
    judge.waits = True
    worker = started(killed)
    eventually(lambda: len(judge.requests) == asked + 2, "two questions are with the judge")
    kill(worker)
    judge.waits = False
    judge.release.set()
    nothing_half_done_is_seen(killed)
    finish(killed)
    assert what_came_of_it(killed) == expected
    judge.release.clear()


@pytest.mark.parametrize(
    "step",
    [
        "engine.gates.guardrails:judge_all before 2",  # the rules look at the second self-edit
        "engine.loop.candidate_evaluator:record_examined after 1",
        "engine.writers.chat_endpoint:read_completion before 2",  # the second reply has come, and is not kept
        "engine.exams.examiner:record_retention_answers before 1",  # red-team prompts were answered
    ],
)
def test_a_round_killed_between_verdicts_resumes_to_the_same_result(
    tmp_path: Path, judge: LocalJudge, judged: Outcome, step: str
) -> None:
    workspace = prepared(tmp_path / "w", everything(judge))
    died_at(workspace, step)
    nothing_half_done_is_seen(workspace)
    finish(workspace)
    assert what_came_of_it(workspace) == judged
    assert {"examined", "refused"} <= {one["state"] for one in judged.values() if isinstance(one, dict)}


@pytest.mark.parametrize(
    "step",
    [
        "engine.continual.curvature:_pass after 1",  # some of the anchors are measured
        "store.durable:_write_synced after 1",  # the coordinates are there under a temporary name
        "engine.bank.training:pack after 3",  # the third step of the updates
        "engine.loop.candidate_evaluator:record_examined after 2",  # in the transaction of several candidates
    ],
)
def test_a_round_killed_during_a_protected_update_resumes_to_the_same_result(
    tmp_path: Path, protected: Outcome, step: str
) -> None:
    workspace = prepared(tmp_path / "w", {}, anchors=32)
    died_at(workspace, step)
    nothing_half_done_is_seen(workspace)
    finish(workspace)
    assert what_came_of_it(workspace) == protected
    assert len(list((workspace.cache_folder / "curvature").glob("*.safetensors"))) == 1
    with closing(open_database(workspace.database_file)) as db:
        updates = fetch_value(db, "SELECT count(*) FROM inner_updates")
        curved = fetch_value(db, "SELECT count(*) FROM inner_updates WHERE hyperparameters LIKE '%curvature%sha256%'")
        assert curved == updates > 0
