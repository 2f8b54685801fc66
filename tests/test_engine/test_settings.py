from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from engine.settings.reading import (
    default_settings_text,
    load_settings,
    section_models,
    settings_from_text,
    settings_of_round,
)
from engine.settings.sections import Settings
from store.errors import WrongUseError
from store.records import Round

HERE = Path("workspace/seal.yaml")


def problems_of(text: str) -> list[str]:
    with pytest.raises(WrongUseError) as caught:
        settings_from_text(text, HERE)
    return caught.value.problems


def test_the_default_file_loads_to_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "seal.yaml"
    path.write_text(default_settings_text(), encoding="utf-8")
    assert load_settings(path) == Settings()


def test_the_default_file_has_every_key_and_each_key_a_description() -> None:
    in_file = yaml.safe_load(default_settings_text())
    assert {name: set(keys) for name, keys in in_file.items()} == {
        name: set(section.model_fields) for name, section in section_models().items()
    }
    for section in section_models().values():
        assert section.__doc__
        assert all(info.description for info in section.model_fields.values())


@pytest.mark.parametrize("text", ["", "# nothing\n", "model:\n", "round:\n  seed: 0\n", "\ufeffmodel:\n"])
def test_a_missing_key_or_section_has_its_default(text: str) -> None:
    assert settings_from_text(text, HERE) == Settings()


def test_values_in_the_file_replace_defaults() -> None:
    settings = settings_from_text(
        "model: {device: 'cuda:1', max_length: 512}\n"
        "inner_update: {target_modules: [q_proj, v_proj], learning_rate: 1e-3, slots: 8}\n"
        "gates: {min_reward: null}\n",
        HERE,
    )
    assert settings.model.device == "cuda:1"
    assert settings.model.max_length == 512
    assert settings.inner_update.target_modules == ("q_proj", "v_proj")
    assert settings.inner_update.learning_rate == 0.001
    assert settings.inner_update.slots == 8
    assert settings.gates.min_reward is None


def test_all_problems_are_reported_together() -> None:
    problems = problems_of(
        "inner_update:\n  rnak: 3\n  dropout: 0.1\n  slots: many\nmdoel: {}\nmodel:\n  device: gpu\nround: 5\n"
    )
    assert "seal.yaml:2: inner_update.rnak: unknown key; did you mean 'rank'?" in problems
    assert "seal.yaml:5: mdoel: unknown key; did you mean 'model'?" in problems
    assert "seal.yaml:7: model.device: must be auto, cpu, cuda or cuda:N (is 'gpu')" in problems
    assert "seal.yaml:4: inner_update.slots: must be auto or a whole number (is 'many')" in problems
    assert "seal.yaml:8: round: must have keys such as seed and tasks_per_round (is 5)" in problems
    assert any("seal.yaml:3: inner_update.dropout: only 0 is supported" in problem for problem in problems)
    assert len(problems) == 6


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model: [\n", "seal.yaml:2:"),
        ("model:\n  path: a\n  path: b\n", "seal.yaml:3: the key 'path' appears twice"),
        ("model: &m {}\nexam: *m\n", "seal.yaml:2: aliases"),
        ("- 1\n", "seal.yaml:1: must have keys such as model and tasks (is a list)"),
        ("model: {path: 2020-13-45}\n", "seal.yaml:1: cannot read the value"),
        ("model: !!python/object:os.system {}\n", "seal.yaml:1: "),
        ("inner_update: {rank: true}\n", "seal.yaml:1: inner_update.rank: must not be true or false"),
        ("inner_update: {alpha: .nan}\n", "seal.yaml:1: inner_update.alpha: must be a finite number"),
        ("self_edit: {top_p: 1.5}\n", "seal.yaml:1: self_edit.top_p: must be at most 1 (is 1.5)"),
        (
            "inner_update: {target_modules: 3}\n",
            "seal.yaml:1: inner_update.target_modules: must be",
        ),
        (
            "protection:\n  lookalike_ratio: 1\n",
            "seal.yaml:2: protection.lookalike_ratio: renamed to 'pert",
        ),
        ("model: {path: !!timestamp x}\n", "seal.yaml:1: cannot read the value"),
        ("model: {path: !!set {a, b}}\n", "seal.yaml:1: the tag tag:yaml.org,2002:set is not supported"),
        ('model: {path: "\\Uffffffff"}\n', "seal.yaml: an escape that is not a character"),
        ("[" * 5000, "seal.yaml:1: nested more than"),
        ("model:\n  path: \x07\n", "seal.yaml:2: a character that YAML does not allow"),
    ],
)
def test_a_problem_has_its_file_line_and_key(text: str, expected: str) -> None:
    (problem,) = problems_of(text)
    assert problem.startswith(expected)


def test_an_absent_file_and_another_encoding_are_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(WrongUseError, match="cannot read the settings"):
        load_settings(tmp_path / "seal.yaml")
    (tmp_path / "seal.yaml").write_bytes(b"model: \xff")
    with pytest.raises(WrongUseError) as caught:
        load_settings(tmp_path / "seal.yaml")
    assert caught.value.problems == ["seal.yaml:1: not UTF-8"]


def test_a_recorded_round_with_former_keys_still_loads() -> None:
    recorded = Round(1, "done", 0, {"protection": {"lookalike_ratio": 2.0, "anchor_ratio": 1.0}}, "now", None, None)
    protection = settings_of_round(recorded).protection
    assert (protection.perturbed_ratio, protection.anchor_ratio) == (2.0, 1.0)


@given(st.one_of(st.text(max_size=60), st.text("ab:{}[]-&*!#'\"\n 1", max_size=60)))
def test_any_text_makes_settings_or_a_wrong_use_error(text: str) -> None:
    with suppress(WrongUseError):
        assert isinstance(settings_from_text(text, HERE), Settings)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("seal.yaml", "seal.yaml is the workspace's own"),
        ("./guardrails.yaml", "guardrails.yaml is the workspace's own"),
        ("../w/seal.db", "seal.db is the workspace's own"),
        ("seal.db-wal", "seal.db-wal is the workspace's own"),
        ("engine.lock", "engine.lock is the workspace's own"),
        ("link.jsonl", "seal.db is the workspace's own"),
        ("adapters/figures.jsonl", "adapters/ is the workspace's own"),
        ("tasks/figures.jsonl", "tasks/ is the workspace's own"),
        ("logs", "is a folder"),
        (".", "is a folder"),
        ("/dev/full", "must be an ordinary file"),
        ("no/such/figures.jsonl", "there is no folder"),
        ('"x\\0y"', "cannot be the name of a file"),
    ],
)
def test_a_tracking_file_that_would_do_harm_is_refused_with_its_line(tmp_path: Path, name: str, said: str) -> None:
    root = tmp_path / "w"
    (root / "logs").mkdir(parents=True)
    (root / "link.jsonl").symlink_to(root / "seal.db")
    path = root / "seal.yaml"
    path.write_text(f"round:\n  seed: 1\ntracking:\n  file: {name}\nexam: {{max_new_tokens: 0}}\n")
    with pytest.raises(WrongUseError) as caught:
        load_settings(path)
    found, other = sorted(caught.value.problems)
    assert found.startswith("seal.yaml:4: tracking.file: ")
    assert said in found
    assert other.startswith("seal.yaml:5: exam.max_new_tokens")


@pytest.mark.parametrize("name", ["figures.jsonl", "logs/figures.jsonl", "../figures.jsonl"])
def test_a_tracking_file_may_be_anywhere_else(tmp_path: Path, name: str) -> None:
    (tmp_path / "w" / "logs").mkdir(parents=True)
    path = tmp_path / "w" / "seal.yaml"
    path.write_text(f"tracking: {{file: {name}}}\n")
    assert load_settings(path).tracking.file == name
