"""Rounds that race over repeats: the same is kept as without, less is trained, and an interruption changes nothing."""

from __future__ import annotations

import signal
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from engine.gates.evidence import RacingEvidence, read_evidence
from engine.gates.names import RACING_GATE
from engine.loop.accept import accept_candidate
from engine.loop.round import run_round
from engine.loop.session import open_session
from store.candidates import answers_of, gates_of, inner_updates_of, list_candidates
from store.database import open_database
from store.durable import remove
from store.rounds import list_rounds
from store.verify import verify
from store.version_rows import get_policy_version
from tests.system.workspaces import last_word, small_workspace, start_worker

if TYPE_CHECKING:
    from store.records import Candidate, Round
    from store.workspace import Workspace

DYING = str(Path(__file__).with_name("dying_worker.py"))
REPEATS = 3


def prepared(folder: Path, racing: str, **changes: dict[str, Any]) -> Workspace:
    workspace = small_workspace(folder, pages=6, train=4, held_out=1, per_task=3, epochs=10, repeats=REPEATS)
    settings = yaml.safe_load(workspace.settings_file.read_text(encoding="utf-8"))
    settings["round"] |= {"selection": "paper", "racing": racing}
    settings["protection"] = {"curvature": False}
    for section, values in changes.items():
        settings.setdefault(section, {}).update(values)
    workspace.settings_file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return workspace


def finished(workspace: Workspace) -> Round:
    with open_session(workspace, "test") as session:
        return run_round(session)


def outcome(workspace: Workspace) -> dict[str, Any]:
    """All that a round came to, except for times and repeats that racing may leave out."""
    with closing(open_database(workspace.database_file)) as db:
        assert verify(workspace, db).problems == []
        [done] = list_rounds(db)
        assert done.summary is not None
        new = done.new_policy_version
        return {
            "kept": done.summary["kept"],
            "policy": None if new is None else get_policy_version(db, new).adapter_hash,
            "held out": done.summary["held_out"],
            "figures of the kept": [
                (one.id, one.reward_mean, one.reward_std, one.audit_gain)
                for one in list_candidates(db)
                if one.id in done.summary["kept"]
            ],
        }


def measured(workspace: Workspace) -> dict[str, Any]:
    """Everything measured, by candidate."""
    with closing(open_database(workspace.database_file)) as db:
        return {
            one.id: (
                one.state,
                one.reward_mean,
                [(update.repeat, update.seed, update.adapter_hash) for update in inner_updates_of(db, one.id)],
                [(answer.question_id, answer.repeat, answer.text) for answer in answers_of(db, one.id)],
                [(gate.gate, gate.passed, gate.evidence) for gate in gates_of(db, one.id)],
            )
            for one in list_candidates(db)
        }


def by_role(workspace: Workspace, role: str) -> list[tuple[Candidate, int]]:
    with closing(open_database(workspace.database_file)) as db:
        return [(one, len(inner_updates_of(db, one.id))) for one in list_candidates(db) if one.role == role]


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A round without racing."""
    workspace = prepared(tmp_path_factory.mktemp("off") / "w", "off")
    finished(workspace)
    return workspace


@pytest.fixture(scope="module")
def raced(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The same round with exact racing."""
    workspace = prepared(tmp_path_factory.mktemp("exact") / "w", "exact")
    finished(workspace)
    return workspace


def test_exact_racing_keeps_the_same_and_trains_the_same_policy(everything: Workspace, raced: Workspace) -> None:
    assert outcome(raced) == outcome(everything)
    assert len(outcome(raced)["kept"]) == 4
    assert {count for _, count in by_role(everything, "train")} == {REPEATS}
    counts = [count for _, count in by_role(raced, "train")]
    assert min(counts) < REPEATS  # some stopped
    assert {count for _, count in by_role(raced, "held_out")} == {REPEATS}  # a policy's figure is a mean over all


def test_what_stopped_says_so_and_can_be_accepted(raced: Workspace) -> None:
    stopped = [(one, count) for one, count in by_role(raced, "train") if count < REPEATS]
    with closing(open_database(raced.database_file)) as db:
        for one, count in stopped:
            assert one.state == "examined"
            [gate] = [gate for gate in gates_of(db, one.id) if gate.gate == RACING_GATE]
            assert (gate.passed, gate.on_failure) == (False, "note")
            evidence = read_evidence(gate.gate, gate.evidence)
            assert isinstance(evidence, RacingEvidence)
            assert (evidence.repeats, evidence.of_repeats, evidence.reason) == (count, REPEATS, "behind")
            assert f"stopped after {count} of 3 repeats" in evidence.describe()[0]
        [done] = list_rounds(db)
        assert done.summary is not None
        counts = [count for _, count in by_role(raced, "train")]
        assert done.summary["racing"] == {
            "rule": "exact", "self_edits": len(counts), "stopped": len(stopped), "updates": sum(counts),
            "of_updates": REPEATS * len(counts),
        }  # fmt: skip
        accepted = accept_candidate(raced, db, stopped[0][0].id, actor="tester", reason="good as it is")
        assert accepted.number == 1
        assert verify(raced, db).problems == []


def test_leaders_train_less_and_keep_as_many(everything: Workspace, tmp_path: Path) -> None:
    workspace = prepared(tmp_path / "w", "leaders")
    finished(workspace)
    assert len(outcome(workspace)["kept"]) == len(outcome(everything)["kept"])
    counts = [count for _, count in by_role(workspace, "train")]
    assert sum(counts) <= 0.6 * REPEATS * len(counts)


@pytest.mark.parametrize("racing", ["exact", "leaders"])
def test_when_the_gates_refuse_the_leaders_the_others_race_on(tmp_path: Path, racing: str) -> None:
    changes: dict[str, dict[str, Any]] = {
        "round": {"selection": "best-k", "threshold": -1.0},
        "gates": {"min_reward": 1.0},  # no reward is above it
    }
    workspace = prepared(tmp_path / "w", racing, **changes)
    finished(workspace)
    assert outcome(workspace)["kept"] == []
    with closing(open_database(workspace.database_file)) as db:
        train = list_candidates(db, role="train")
        assert {one.state for one in train} == {"refused"}
        if racing == "exact":
            assert {count for _, count in by_role(workspace, "train")} == {REPEATS}
        behind = [gate for one in train for gate in gates_of(db, one.id) if gate.gate == RACING_GATE]
        assert all(gate.passed for gate in behind)  # nobody was left behind: all were in the lead in the end


@pytest.mark.parametrize("step", ["record_repeats after 1", "record_repeats after 3", "record_examined before 2"])
def test_a_race_killed_between_its_stages_comes_to_the_same_end(tmp_path: Path, raced: Workspace, step: str) -> None:
    expected = outcome(raced)
    workspace = prepared(tmp_path / "w", "exact")
    worker = start_worker(
        "run",
        {"workspace": str(workspace.root), "rounds": 1},
        (sys.executable, DYING, *f"engine.loop.candidate_evaluator:{step}".split()),
    )
    status, said = last_word(worker)
    assert status == -signal.SIGKILL, said
    with closing(open_database(workspace.database_file)) as db:
        assert verify(workspace, db).problems == []
        before = {
            (one.id, update.repeat): update.finished_at
            for one in list_candidates(db)
            for update in inner_updates_of(db, one.id)
        }
    finished(workspace)
    assert outcome(workspace) == expected
    with closing(open_database(workspace.database_file)) as db:
        for (key, repeat), at in before.items():
            assert inner_updates_of(db, key)[repeat].finished_at == at


def test_a_race_whose_cached_adapters_are_gone_measures_again(tmp_path: Path, raced: Workspace) -> None:
    workspace = prepared(tmp_path / "w", "exact")
    step = "engine.loop.candidate_evaluator:record_repeats after 3"
    worker = start_worker(
        "run", {"workspace": str(workspace.root), "rounds": 1}, (sys.executable, DYING, *step.split())
    )
    assert last_word(worker)[0] == -signal.SIGKILL
    remove(workspace.cache_folder / "adapters")
    finished(workspace)
    assert outcome(workspace) == outcome(raced)
