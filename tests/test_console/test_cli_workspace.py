"""The commands that need no engine, on a real workspace."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.bundled import BUNDLED
from engine.model.model_folder import model_folder
from engine.retention.general_suites import general_suites
from engine.settings.reading import load_settings
from store.database import execute
from store.errors import WrongUseError
from store.lock import current_user, hold_lock
from store.rounds import list_rounds, start_round
from store.version_rows import list_moves
from tests.published_run import best_rows, write_published_run
from tests.test_console.cli_scenario import CandidateMaker, CliCaller, make_task

if TYPE_CHECKING:
    from store.workspace import Workspace

QUESTIONS = "- {question: How long, answer: 30 days}\n- {question: Since when, answer: May, split: audit}\n"


def write_document(folder: Path) -> None:
    (folder / "r.md").write_text("# Returns\nNow 30 days.", encoding="utf-8")
    (folder / "r.questions.yaml").write_text(QUESTIONS, encoding="utf-8")


def test_init_makes_a_workspace_with_commented_settings(call: CliCaller, tmp_path: Path) -> None:
    called = call("init", "shop")
    assert (called.code, called.err) == (0, "")
    assert "seal-console tasks add" in called.out
    settings = tmp_path / "shop" / "seal.yaml"
    assert load_settings(settings).model.path == "bundled"
    assert "# " in settings.read_text(encoding="utf-8")
    assert call("init", "shop").code == 2
    assert call("-w", "shop", "guardrails", "check").code == 0
    other = tmp_path / "other"
    files = {"settings": str(other / "seal.yaml"), "guardrails": str(other / "guardrails.yaml"), "preset": "bundled"}
    assert call("init", "other", "--json").objects == [{"workspace": str(other), **files}]


def test_init_leaves_rules_that_are_there_already(call: CliCaller, tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "guardrails.yaml").write_text("rules: []\n")
    assert call("init", "shop").code == 0
    assert (tmp_path / "shop" / "guardrails.yaml").read_text() == "rules: []\n"


def test_init_with_a_model(call: CliCaller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def checked(_: object, parameters: object) -> dict[str, int]:
        asked.append(parameters)
        return {"parameters": 135_000_000}

    monkeypatch.setattr("seal_console.cli.init.check_model", checked)
    model = tmp_path / 'my "model": #1'
    model.mkdir()
    assert call("init", "shop", "--model", model).code == 2
    assert not (tmp_path / "shop").exists()
    shutil.rmtree(model)
    shutil.copytree(model_folder(BUNDLED), model)
    assert call("init", "shop", "--model", model).code == 0
    assert load_settings(tmp_path / "shop" / "seal.yaml").model.path == str(model)
    assert asked == [{"model": str(model)}]
    suites = sorted(file.name for file in (tmp_path / "shop" / "retention").iterdir())
    assert suites == list(general_suites())
    assert "# Preset small" in (tmp_path / "shop" / "seal.yaml").read_text(encoding="utf-8")
    assert "Preset 7b" in call("init", "other", "--model", model, "--preset", "7b").out
    assert load_settings(tmp_path / "other" / "seal.yaml").inner_update.rank == 32


def test_a_relative_model_begins_at_the_workspace(tmp_path: Path) -> None:
    settings = tmp_path / "seal.yaml"
    for written, meant in (("../m", tmp_path.parent / "m"), ("m/x", tmp_path / "m/x"), ("/m", Path("/m"))):
        settings.write_text(f"model: {{path: {written}}}\n", encoding="utf-8")
        assert load_settings(settings).model.path == str(meant)
    settings.write_text("model: {path: bundled}\n", encoding="utf-8")
    assert load_settings(settings).model.path == BUNDLED


def test_tasks_are_checked_added_and_listed(workspace: Workspace, call: CliCaller) -> None:
    assert call("tasks", "check").code == 3
    assert call("tasks", "add").code == 3
    assert "No tasks yet" in call("tasks", "list").out
    write_document(workspace.tasks_folder)
    assert "1 task with 2 questions (1 for the audit)" in call("tasks", "check").out
    assert call("tasks", "list", "--json").objects == []
    (added,) = call("tasks", "add", "--json").objects
    assert (added["new"], added["already_there"], added["new_documents"]) == (1, 0, 1)
    again = call("tasks", "add")
    assert again.code == 3
    assert "in the workspace already" in again.err
    (listed,) = call("tasks", "list", "--json").objects
    assert (listed["title"], listed["reward_questions"], listed["audit_questions"]) == ("Returns", 1, 1)
    assert listed["source"].startswith("tasks/r.questions.yaml")
    assert listed["id"].removeprefix("sha256:")[:12] in call("tasks", "list").out


def test_all_problems_of_tasks_come_together_and_nothing_is_stored(workspace: Workspace, call: CliCaller) -> None:
    write_document(workspace.tasks_folder)
    bad = "- {question: '', answer: x}\n- {question: q, answer: x, grader: exakt}\n"
    (workspace.tasks_folder / "b.md").write_text("B")
    (workspace.tasks_folder / "b.questions.yaml").write_text(bad)
    called = call("tasks", "add")
    assert (called.code, called.out) == (2, "")
    assert called.err.count("  • tasks/b.questions.yaml:") == 2
    assert "did you mean 'exact'?" in called.err
    assert call("tasks", "list", "--json").objects == []


def test_check_works_outside_a_workspace_with_a_path(call: CliCaller, tmp_path: Path) -> None:
    write_document(tmp_path)
    assert call("tasks", "check", "r.md", "--json").objects == [
        {"tasks": 1, "documents": 1, "questions": 2, "audit_questions": 1, "left_out_questions": 0,
         "graders": {"exact": 2}, "lengths_checked": False,
         "ceiling": {"tasks": 0, "known_already": [], "beyond_reach": []}}
    ]  # fmt: skip
    assert "Lengths were not checked: outside a workspace" in call("tasks", "check", tmp_path).out
    assert call("tasks", "check").code == 2


@pytest.mark.parametrize("command", ["check", "add"])
def test_lengths_that_no_model_could_check_are_not_passed_over(
    workspace: Workspace, call: CliCaller, command: str
) -> None:
    write_document(workspace.tasks_folder)
    assert call("tasks", "check", "--json").objects[0]["lengths_checked"] is True
    assert "Lengths" not in call("tasks", "check").out
    workspace.settings_file.write_text("model: {path: /nowhere}\n")
    assert "Lengths were not checked: /nowhere has no" in " ".join(call("tasks", command).out.split())


def test_wrong_settings_are_named_together(workspace: Workspace, call: CliCaller) -> None:
    workspace.settings_file.write_text("modle: {}\nround: {best_k: 0}\n")
    called = call("run")
    assert called.code == 2
    assert "did you mean 'model'?" in called.err
    assert "round.best_k" in called.err
    assert call("info").code == 0


def test_review_list_shows_what_waits_best_first(maker: CandidateMaker, call: CliCaller) -> None:
    low, high = maker.examined(0.25), maker.examined(0.75, completion="x\ny")
    refused = maker.examined(-0.5, passed=False)
    assert [one["id"] for one in call("review", "list", "--json").objects] == [high.id, low.id]
    assert [one["id"] for one in call("review", "list", "--state", "refused", "--json").objects] == [refused.id]
    assert len(call("review", "list", "--state", "all", "--json").objects) == 3
    assert call("review", "list", "--round", "9", "--json").objects == []
    limited = call("review", "list", "--limit", "1")
    assert "+0.750" in limited.out
    assert "x⏎y" in limited.out
    assert "of 2" in limited.out
    assert call("review", "list", "--imported", "--json").objects == []


def test_review_show_has_everything(maker: CandidateMaker, call: CliCaller) -> None:
    candidate = maker.examined(0.5)
    called = call("review", "show", candidate.id[7:15])
    for words in (
        candidate.id, "    Returns take 30 days.", "How long? (reward)", "[audit]", "✗ wrong  14 days",
        "✓ right  30 days", str(candidate.adapter_hash),
        "+0.500 over 1 repeat", "✓ passed", "2.000 → 1.000", "position 1", "temperature", "returns.md", "tiny",
    ):  # fmt: skip
        assert words in called.out
    (whole,) = call("review", "show", candidate.id, "--json").objects
    assert whole["questions"][0]["before"][0]["text"] == "14 days"
    assert whole["questions"][0]["after"][0]["correct"] is True
    assert whole["gates"][0]["gate"] == "reward"
    assert call("review", "show", "zz").code == 2


def test_accept_list_show_roll_back(maker: CandidateMaker, call: CliCaller, workspace: Workspace) -> None:
    first = maker.examined()
    accepted = call("review", "accept", first.id, "--reason", "good", "--as", "ada")
    assert (accepted.code, "v0001 is live" in accepted.out) == (0, True)
    listed = {one["tag"]: one for one in call("versions", "list", "--json").objects}
    assert (listed["v0001"]["live"], listed["v0001"]["accepted_by"]) == (True, "ada")
    assert "● live  v0001" in " ".join(call("versions", "list").out.split("\n")).replace("   ", "  ")
    shown = call("versions", "show", "v0001")
    assert shown.out.startswith("● live")
    assert "# v0001" in shown.out
    (whole,) = call("versions", "show", "1", "--json").objects
    assert whole["manifest"]["base"]["name"] == "tiny"

    back = call("versions", "rollback", "v0000", "--reason", "no")
    assert back.code == 0
    assert f"git -C {workspace.adapters_folder} checkout v0000" in back.out
    assert list_moves(maker.db)[-1].actor == current_user()
    assert call("versions", "rollback", "v0000", "--reason", "no").code == 3
    assert call("versions", "rollback", "p0001", "--reason", "no").code == 2
    assert call("versions", "show", "v0000").code == 2
    assert call("versions", "show", "v0007").code == 2
    assert call("versions", "show", "v0001").out.startswith("not live")
    assert call("verify").code == 0


def test_decisions_are_made_once(maker: CandidateMaker, call: CliCaller) -> None:
    one, two, refused = maker.examined(), maker.examined(), maker.examined(passed=False)
    (rejected,) = call("review", "reject", one.id, "--reason", "wrong", "--as", "bo", "--json").objects
    assert rejected.pop("log_head")["hash"].startswith("sha256:")
    assert rejected == {"id": one.id, "state": "rejected", "actor": "bo", "reason": "wrong"}
    again = call("review", "accept", one.id, "--reason", "good")
    assert again.code == 2
    assert "by bo (wrong)" in again.err
    assert "is deferred" in call("review", "defer", two.id[:12], "--reason", "later").out
    assert call("review", "accept", refused.id, "--reason", "good").code == 2
    assert call("review", "accept", two.id, "--reason", " ").code == 2
    assert call("review", "accept", two.id, "--reason", "now").code == 0


def test_a_candidate_cannot_be_accepted_without_adapter_base_or_parent(maker: CandidateMaker, call: CliCaller) -> None:
    first, second = maker.examined(), maker.examined()
    execute(maker.db, "UPDATE rounds SET settings = '{}'")
    assert "does not record its base" in call("review", "accept", first.id, "--reason", "x").err
    execute(maker.db, "UPDATE rounds SET settings = ?", [json.dumps({"base": {"name": "tiny"}})])
    assert call("review", "accept", first.id, "--reason", "x").code == 0
    moved = call("review", "accept", second.id, "--reason", "x")
    assert moved.code == 2
    assert "v0001 is live now" in moved.err
    for folder in (maker.workspace.cache_folder / "adapters").iterdir():
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    assert "cache was cleared" in call("review", "accept", second.id, "--reason", "x").err


def test_a_checkout_by_hand_is_noticed(maker: CandidateMaker, call: CliCaller, workspace: Workspace) -> None:
    call("review", "accept", maker.examined().id, "--reason", "good")
    subprocess.run(["git", "-C", workspace.adapters_folder, "checkout", "-q", "v0000"], check=True)
    called = call("versions", "list", "--json")
    assert "v0000 (base) was checked out with git" in called.err
    assert called.objects[0]["live"] is False
    assert list_moves(maker.db)[-1].cause == "checkout"


def test_a_strange_checkout_stops_writing_and_warns_reading(
    maker: CandidateMaker, call: CliCaller, workspace: Workspace
) -> None:
    candidate = maker.examined()
    git = ["git", "-C", str(workspace.adapters_folder)]
    subprocess.run([*git, "checkout", "-q", "--detach"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "strange"], check=True)
    reading = call("review", "list", "--json")
    assert (reading.code, len(reading.objects)) == (0, 1)
    assert "Warning: " in reading.err
    assert call("review", "accept", candidate.id, "--reason", "x").code == 2
    checked = call("verify", "--json")
    assert checked.code == 1
    assert checked.objects[0]["ok"] is False


def test_a_crashed_round_is_reported_as_repaired(maker: CandidateMaker, call: CliCaller) -> None:
    maker.examined()
    called = call("review", "list")
    assert "Repaired: Round 1 was running, but no engine is" in called.err
    assert list_rounds(maker.db)[0].state == "interrupted"


def test_a_held_writer_lock_is_5(
    maker: CandidateMaker, call: CliCaller, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate = maker.examined()
    monkeypatch.setattr("store.recovery.WRITER_WAIT_S", 0.0)
    with hold_lock(workspace.repository_lock_file, "another accept"):
        called = call("review", "accept", candidate.id, "--reason", "x", "--json")
        assert called.code == 5
        assert "another accept" in called.objects[0]["error"]["message"]
        assert call("review", "list").code == 0


def test_verify_names_what_does_not_match(maker: CandidateMaker, call: CliCaller) -> None:
    call("review", "accept", maker.examined().id, "--reason", "good")
    (good,) = call("verify", "--json").objects
    assert good["ok"] is True
    execute(maker.db, "UPDATE candidates SET completion = 'forged'")
    bad = call("verify")
    assert bad.code == 1
    assert "  • " in bad.err


def test_info_names_every_path_and_loads_no_model(maker: CandidateMaker, call: CliCaller, workspace: Workspace) -> None:
    maker.examined()
    (found,) = call("info", "--json").objects
    about = found["workspace"]
    assert about["paths"]["database"] == str(workspace.database_file)
    assert about["counts"]["candidates examined"] == 1
    assert about["open_round"] == {"number": 1, "state": "interrupted"}
    assert about["live"].startswith("v0000")
    assert found["installation"]["libraries"]["torch"]
    with hold_lock(workspace.lock_file, "run"):
        shown = call("info").out
    assert str(workspace.adapters_folder) in shown
    assert ": run, since" in shown


def test_bare_it_shows_info_or_how_to_start(call: CliCaller, tmp_path: Path) -> None:
    called = call()
    assert (called.code, called.err) == (0, "")
    assert "seal-console demo" in called.out
    assert "console" in called.out
    call("init", tmp_path / "shop")
    assert str(tmp_path / "shop" / "seal.db") in call("-w", tmp_path / "shop").out
    assert call("info").code == 0
    assert call("-w", "nowhere").code == 2


def test_model_card(call: CliCaller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seal_console.cli.model.model_folder", lambda _: tmp_path)
    assert call("model", "card").code == 1
    (tmp_path / "README.md").write_text("# The card\x1b[2J", encoding="utf-8")
    assert call("model", "card").out == "# The card␛[2J\n"
    assert call("model", "card", "--json").objects[0]["card"] == "# The card\x1b[2J"
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model.safetensors").touch()
    assert call("lab", "model", "build", "m").code == 2


def test_export_of_a_round_of_ones_own(maker: CandidateMaker, call: CliCaller, workspace: Workspace) -> None:
    assert call("export", "sft").code == 3
    maker.examined(0.0)
    best = maker.examined(0.5, completion=" keep me \n")
    maker.examined(0.5, passed=False)
    maker.examined(0.5, role="held_out")
    rows = call("export", "sft").objects
    assert rows == [{"prompt": best.prompt, "completion": "keep me"}]
    called = call("export", "sft", "--selection", "paper", "--round", "1", "--out", "rows.jsonl", "--json")
    assert called.objects[0]["rows"] == 1
    assert json.loads((workspace.root / "rows.jsonl").read_text()) == rows[0]
    assert call("export", "sft", "--out", "rows.jsonl").code == 2
    assert call("export", "sft", "--out", "rows.jsonl", "--force").code == 0
    assert call("export", "sft", "--out", "no/rows.jsonl").code == 2
    assert call("export", "sft", "--round", "7").code == 2


def test_a_published_run_gives_exactly_seals_own_rows(workspace: Workspace, call: CliCaller, tmp_path: Path) -> None:
    run_file = write_published_run(tmp_path / "rank_iter0.json")
    (imported,) = call("lab", "import", "seal", run_file, "--json").objects
    assert (imported["round_number"], imported["tasks"], imported["candidates"]) == (1, 50, 250)
    assert (imported["graded_answers"], imported["differences"]) == (3750, [])
    assert imported["mean_gain"] == pytest.approx(imported["said_mean_gain"], abs=1e-3)
    again = call("lab", "import", "seal", run_file)
    assert again.code == 3
    assert "round 1" in again.err
    assert len(call("review", "list", "--imported", "--json", "--limit", "999").objects) == 250
    assert call("review", "list", "--json").objects == []
    assert call("export", "sft", "--selection", "paper", "--out", "sft.jsonl").code == 0
    written = (workspace.root / "sft.jsonl").read_text(encoding="utf-8")
    assert [json.loads(line) for line in written.splitlines()] == best_rows()
    assert call("export", "sft", "--selection", "paper").out == written
    (candidate,) = call("review", "list", "--imported", "--limit", "1", "--json").objects
    shown = call("review", "show", candidate["id"])
    assert (shown.code, "not recorded" in shown.out) == (0, True)
    assert call("review", "accept", candidate["id"], "--reason", "x").code == 2
    assert call("verify").code == 0


def test_import_refuses_what_is_no_run(call: CliCaller, workspace: Workspace) -> None:
    (workspace.root / "x.json").write_text("{}")
    called = call("lab", "import", "seal", "x.json")
    assert called.code == 2
    assert "  • " in called.err
    assert call("lab", "import", "seal", "nowhere.json").code == 2


def test_an_engine_that_runs_does_not_hinder_a_decision(
    maker: CandidateMaker, call: CliCaller, workspace: Workspace
) -> None:
    candidate = maker.examined()
    with hold_lock(workspace.lock_file, "run"):
        assert call("review", "reject", candidate.id, "--reason", "x").code == 0
    assert list_rounds(maker.db)[0].state == "running"


def test_a_round_that_is_open_is_unique(maker: CandidateMaker) -> None:
    maker.examined()
    with pytest.raises(WrongUseError):
        start_round(maker.db, seed=0, settings={}, live_version=None, policy_version=None)
    assert make_task("A").id != make_task("B").id


@pytest.mark.parametrize("words", [(), ("info",), ("tasks", "list"), ("tasks", "check", "x.yaml")])
def test_a_workspace_of_an_older_release_is_named_by_every_command(
    workspace: Workspace, call: CliCaller, words: tuple[str, ...]
) -> None:
    (workspace.root / "policy.yaml").write_text("rules: []\n")
    called = call(*words)
    assert called.code == 2
    assert f"{workspace.root / 'policy.yaml'} is no longer read" in called.err
    assert f"mv {workspace.root / 'policy.yaml'}" in called.err
    assert "No workspace here" not in called.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("tasks", "check", "nope"), "nope: does not exist"),
        (("tasks", "check", "nope.yaml"), "nope.yaml: does not exist"),
        (("tasks", "add", "no/such/folder"), "no/such/folder: does not exist"),
        (("guardrails", "check", "--text", "nope.txt"), "nope.txt does not exist"),
    ],
)
def test_a_file_that_does_not_exist_is_said_not_to(
    workspace: Workspace, call: CliCaller, words: tuple[str, ...], said: str
) -> None:
    called = call("-w", workspace.root, *words)
    assert (called.code, said in called.err) == (2, True)


@pytest.mark.parametrize("words", [("init", "bar"), ("demo", "bar", "--headless")])
def test_a_workspace_that_a_new_one_would_ignore_is_a_contradiction(
    workspace: Workspace, call: CliCaller, words: tuple[str, ...]
) -> None:
    called = call("-w", workspace.root, *words)
    assert (called.code, "contradicts it" in called.err) == (2, True)
    assert not (workspace.root / "bar").exists()
