"""Every setting does something: a round under a changed value differs from the round under the default."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from engine.loop.round import run_round
from engine.loop.session import open_session
from engine.settings.reading import section_models
from store.candidates import answers_of, inner_updates_of, list_candidates
from store.version_rows import get_policy_version
from tests.system.engine_process import is_alive
from tests.system.workspaces import small_workspace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

BASIS: dict[str, dict[str, Any]] = {
    "round": {"tasks_per_round": 3, "held_out_tasks": 1, "held_out_edits": 1, "selection": "paper"},
    "self_edit": {"per_task": 2, "max_new_tokens": 96},
    "inner_update": {"epochs": 2},
    "gates": {"min_reward": None, "min_audit_gain": None},
}
CHANGED: dict[str, Any] = {
    "model.precision": "bfloat16",
    "self_edit.format": "self-qa",
    "self_edit.per_task": 3,
    "self_edit.temperature": 0.5,
    "self_edit.top_p": 0.3,
    "self_edit.max_new_tokens": 8,
    "inner_update.rank": 4,
    "inner_update.alpha": 8,
    "inner_update.target_modules": ["q_proj", "v_proj"],
    "inner_update.epochs": 1,
    "inner_update.learning_rate": 1e-4,
    "inner_update.schedule": "constant",
    "inner_update.batch_size": 3,
    "inner_update.weight_decay": 0.5,
    "inner_update.max_grad_norm": 0.01,
    "inner_update.repeats": 2,
    "round.seed": 1,
    "round.tasks_per_round": 2,
    "round.held_out_tasks": 0,
    "round.held_out_edits": 2,
    "round.best_k": 2,
    "gates.min_reward": 0.99,
    "gates.min_audit_gain": 0.99,
    "policy_training.rank": 4,
    "policy_training.alpha": 8,
    "policy_training.target_modules": ["q_proj", "v_proj"],
    "policy_training.epochs": 1,
    "policy_training.learning_rate": 1e-4,
    "policy_training.schedule": "constant",
    "policy_training.batch_size": 1,
    "policy_training.weight_decay": 0.5,
    "policy_training.max_grad_norm": 0.01,
}
SHOWN_ELSEWHERE = {
    "model.path": "test_base_model.py",
    "console.theme": "test_console_manual.py: the console alone has it",
    "console.keys": "test_console_manual.py",
    "model.device": "test_base_model.py",
    "model.max_length": "test_base_model.py",
    "model.prompt_style": "test_base_model.py",
    "model.trust_remote_code": "test_base_model.py",
    "model.processes": "below: it changes no text",
    "tasks.audit_share": "test_tasks_split.py: it acts when tasks are added",
    "inner_update.dropout": "test_settings.py: only 0 is allowed",
    "inner_update.slots": "test_bank_scheduling.py: changes no result",
    "exam.max_new_tokens": "test_exam.py: the bundled model's answers are one token",
    "self_edit.splitting": "below, on questions and answers",
    "exam.ceiling": "test_ceiling.py: it changes no result",
    "exam.batch_size": "test_generation.py: changes no result",
    "retention.gate": "test_retention.py and, for its two rules, test_retention_gate.py",
    "retention.allowed_losses": "test_retention_gate.py",
    "retention.significance": "test_retention_gate.py",
    "retention.earlier_questions": "test_retention_earlier.py",
    "retention.earlier_losses": "test_retention_gate.py",
    "retention.max_drift": "test_retention.py and test_retention_gate.py",
    "retention.drift_anchors": "test_retention_suites.py",
    "protection.replay_ratio": "test_protection.py",
    "protection.replay_from": "test_protection.py",
    "protection.anchor_ratio": "test_protection.py",
    "protection.anchor_weight": "test_protection.py",
    "protection.perturbed_ratio": "test_protection.py",
    "protection.perturbed_weight": "test_protection.py",
    "protection.curvature": "test_protection.py",
    "tracking.file": "test_tracking.py: it changes no result",
    "alarms.one_answer": "test_alarm_rules.py",
    "alarms.accuracy_fall": "test_alarm_rules.py",
    "alarms.alike": "test_alarm_rules.py and test_automatic_acceptance.py",
    "alarms.echo": "test_alarm_rules.py",
    "alarms.length_factor": "test_alarm_rules.py",
    "alarms.audit_fall": "test_alarm_rules.py",
    "alarms.significance": "test_alarm_rules.py",
    "alarms.rounds_back": "test_alarm_watch.py",
    "acceptance.automatic": "test_automatic_acceptance.py",
    "acceptance.min_reward": "test_best_acceptable.py",
    "acceptance.min_audit_gain": "test_best_acceptable.py",
    "round.selection": "test_selection.py",
    "round.threshold": "test_selection.py",
    "round.racing": "test_racing_rounds.py: it takes several repeats",
}


def _outcome(folder: Path, settings: dict[str, dict[str, Any]]) -> list[Any]:
    workspace = small_workspace(folder, pages=4)
    workspace.settings_file.write_text(yaml.safe_dump(settings))
    trained: list[Any] = []
    with open_session(workspace, "test") as session:
        finished = run_round(session)
        candidates = list_candidates(session.db)
        for one in candidates:
            updates = [(update.repeat, update.adapter_hash) for update in inner_updates_of(session.db, one.id)]
            texts = [answer.text for answer in answers_of(session.db, one.id)]
            trained.append([one.id, one.completion, one.sequences, one.state, updates, texts])
        summary = finished.summary or {}
        version = finished.new_policy_version
        policy = None if version is None else get_policy_version(session.db, version).adapter_hash
        trained.append([len(summary["kept"]), policy])
    return trained


def _with(name: str, value: object) -> dict[str, dict[str, Any]]:
    section, key = name.split(".")
    changed = {other: dict(values) for other, values in BASIS.items()}
    changed.setdefault(section, {})[key] = value
    return changed


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Any]:
    return _outcome(tmp_path_factory.mktemp("usual") / "w", BASIS)


@pytest.mark.parametrize("name", CHANGED)
def test_a_changed_setting_changes_the_round(tmp_path: Path, usual: Sequence[Any], name: str) -> None:
    assert _outcome(tmp_path / "w", _with(name, CHANGED[name])) != usual


def test_splitting_changes_what_questions_and_answers_are_trained_as(tmp_path: Path) -> None:
    first, second = (_with("self_edit.format", "self-qa") for _ in range(2))
    second["self_edit"]["splitting"] = "paper"
    assert _outcome(tmp_path / "a", first) != _outcome(tmp_path / "b", second)


def test_processes_compute_and_change_no_self_edit(tmp_path: Path, usual: Sequence[Any]) -> None:
    started, written = list[int](), list[tuple[str, str]]()
    workspace = small_workspace(tmp_path / "w", pages=4)
    workspace.settings_file.write_text(yaml.safe_dump(_with("model.processes", 2)))
    with open_session(workspace, "test") as session:
        run_round(session)
        started += [] if session.pool is None else session.pool.process_ids
        # Self-edits of a new policy may differ: training in other company rounds in other places.
        written += [(one.id, one.completion) for one in list_candidates(session.db) if one.role == "train"]
    assert len(started) == 2
    assert not any(map(is_alive, started))
    assert written
    assert set(written) <= {(one[0], one[1]) for one in usual[:-1]}


def test_no_setting_is_left_out() -> None:
    every = {f"{section}.{key}" for section, model in section_models().items() for key in model.model_fields}
    assert every == set(CHANGED) | set(SHOWN_ELSEWHERE)
