"""Rounds that cannot succeed: refused before they begin, given up, or finished without what diverged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from engine.gates.evidence import TrainingEvidence, read_evidence
from engine.loop.round import run_round
from engine.loop.session import Session, open_session
from engine.settings.reading import load_settings
from store.candidates import gates_of, list_candidates
from store.errors import WrongUseError
from store.rounds import abandon_round, list_rounds, start_round
from store.tasks import list_tasks
from store.verify import verify
from tests.system.workspaces import small_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from store.workspace import Workspace

SMALL: dict[str, Any] = {
    "round": {"tasks_per_round": 2, "held_out_tasks": 1, "held_out_edits": 1},
    "self_edit": {"per_task": 2, "max_new_tokens": 64},
    "inner_update": {"epochs": 2},
    "gates": {"min_reward": None, "min_audit_gain": None},
    "retention": {"gate": None},
}


def _workspace(folder: Path, section: str = "round", **changed: Any) -> Workspace:
    workspace = small_workspace(folder / "w", pages=4)
    settings = {**SMALL, section: {**SMALL.get(section, {}), **changed}}
    workspace.settings_file.write_text(yaml.safe_dump(settings))
    return workspace


@pytest.mark.parametrize(
    ("section", "key", "value", "said"),
    [
        ("inner_update", "target_modules", ["foo"], "no linear layer named foo"),
        ("policy_training", "target_modules", ["foo"], "no linear layer named foo"),
        ("inner_update", "rank", 10**12, "more than the largest adapted layer"),
        ("inner_update", "alpha", 1e308, "more than a 32-bit number holds"),
        ("self_edit", "max_new_tokens", 2000, "no room for 2000 more in the model's window"),
        ("exam", "max_new_tokens", 2000, "no room for 2000 more in the model's window"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_the_round_begins(
    tmp_path: Path, section: str, key: str, value: Any, said: str
) -> None:
    workspace = _workspace(tmp_path, section, **{key: value})
    with open_session(workspace, "test") as session, pytest.raises(WrongUseError) as caught:
        run_round(session)
    assert any(problem.startswith(f"{section}.{key}: ") and said in problem for problem in caught.value.problems)
    assert str(workspace.settings_file) in caught.value.next_step
    with open_session(workspace, "test") as session:
        assert list_rounds(session.db) == []


def _begin_with_wrong_settings(session: Session) -> None:
    task_ids = [listed.task.id for listed in list_tasks(session.db)]
    kept = session.settings.model_dump(mode="json")
    kept["inner_update"]["target_modules"] = ["foo"]
    kept |= {"base": session.base.described(), "chosen_tasks": {"train": task_ids[:2], "held_out": task_ids[2:3]}}
    start_round(session.db, seed=0, settings=kept, live_version=None, policy_version=None)


def test_a_round_that_fails_again_and_again_is_given_up_and_the_next_one_has_todays_settings(tmp_path: Path) -> None:
    workspace = _workspace(tmp_path)
    with open_session(workspace, "test") as session:
        _begin_with_wrong_settings(session)
        for _ in range(2):
            with pytest.raises(WrongUseError) as caught:
                run_round(session)
            assert 'seal-console rounds abandon 1 --reason "…"' in caught.value.next_step
        abandon_round(session.db, 1, "ada", "it cannot work")
        assert run_round(session).number == 2
        assert [one.state for one in list_rounds(session.db)] == ["failed", "done"]
        assert verify(workspace, session.db).problems == []


def test_a_candidate_whose_update_diverges_is_refused_and_the_round_is_finished(tmp_path: Path) -> None:
    workspace = _workspace(tmp_path, "inner_update", epochs=2, learning_rate=1e30, repeats=2)
    notes: list[str] = []
    with open_session(workspace, "test", lambda progress: notes.append(progress.note)) as session:
        finished = run_round(session)
        assert finished.state == "done"
        candidates = list_candidates(session.db)
        assert {one.state for one in candidates} == {"refused"}
        for one in candidates:
            (verdict,) = gates_of(session.db, one.id)
            evidence = read_evidence(verdict.gate, verdict.evidence)
            assert isinstance(evidence, TrainingEvidence)
            assert evidence.describe()[0].startswith("diverged: the loss was no longer finite at step ")
        assert verify(workspace, session.db).problems == []
    assert sum("is refused because its training diverged" in note for note in notes) == len(candidates)


def test_a_policy_whose_training_diverges_leaves_the_policy_as_it_was(tmp_path: Path) -> None:
    workspace = _workspace(tmp_path, "policy_training", learning_rate=1e30)
    settings = {
        **yaml.safe_load(workspace.settings_file.read_text()),
        "round": {**SMALL["round"], "selection": "paper"},
    }
    workspace.settings_file.write_text(yaml.safe_dump(settings))
    assert load_settings(workspace.settings_file).round.selection == "paper"
    notes: list[str] = []
    with open_session(workspace, "test", lambda progress: notes.append(progress.note)) as session:
        finished = run_round(session)
    assert (finished.state, finished.new_policy_version) == ("done", None)
    assert any("The policy's training diverged" in note for note in notes)
