"""`retention` on the command line, and what gates found, in words."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from engine.retention.reading import read_retention
from seal_console.cli import retention
from seal_console.render_gate import render_gate
from store.answers import record_base_answers
from store.candidates import add_candidates, record_examined
from store.records import Answer, GateResult, SuiteNoise
from store.retention import record_noise
from tests.test_console.cli_scenario import CandidateMaker, CliCaller, fake_worker, make_task
from tests.test_console.version_scenario import accepted

if TYPE_CHECKING:
    from pathlib import Path

    from store.records import Candidate
    from store.workspace import Workspace

NOW = "2026-01-01T00:00:00.000Z"
SUITE = """\
suite: facts\x1b
allowed_losses: 0.05
prompts:
  - {question: "Which?", answers: blue, group: colours}
  - {prompt: "Cups are", answers: [blue]}
anchors: [Cups are blue.]
"""


def evidence(**more: Any) -> dict[str, Any]:
    lost = {"prompt": "Which?", "expected": ["blue", "azure"], "before": "blue", "after": "red", "group": "colours"}
    return {
        "suite": "facts", "prompts": 40, "right_before": 39, "right_after": 36, "lost": [lost] * 3, "gained": 0,
        "allowed_losses": 2, "p_value": 0.125, "rule": "each", "significance": 0.05, **more,
    }  # fmt: skip


def earlier_evidence() -> dict[str, Any]:
    lost = {"prompt": "Who?", "expected": ["Ada"], "before": "Ada", "after": "", "group": "", "version": "v0001",
            "task": "Cups"}  # fmt: skip
    undone = [{"version": "v0001", "task": "Cups", "lost": 1}]
    return {**evidence(lost=[lost], p_value=0.5), "edits": 1, "candidate_task": "Forks", "undone": undone}


DRIFT = {"tokens": 12, "mean_kl": 0.25, "worst_kl": 1.5, "mean_kl_before": 0.125, "max_drift": None}


def gate(name: str, found: dict[str, Any], *, passed: bool = False) -> dict[str, Any]:
    return {"gate": name, "passed": passed, "evidence": found}


def test_a_suites_verdict_as_text() -> None:
    first, *lost = render_gate("retention:facts", evidence())
    assert first == "40 prompts, 39 right before, 36 right now, lost 3 (p = 0.125), allowed 2"
    assert lost == ["✗ [colours] Which?  expected: blue / azure; blue → red"] * 3
    assert render_gate("retention:facts", evidence(prompts=1, lost=[], allowed_losses=0, rule="significant")) == [
        "1 prompt, 39 right before, 36 right now, lost 0, allowed 0, stops only if p ≤ 0.05"
    ]
    assert render_gate("retention:facts", evidence(right_before=0, right_after=0, lost=[])) == [
        "40 prompts, none right before: nothing to lose, so nothing is protected"
    ]


def test_an_undone_edit_as_text() -> None:
    figures, undone, lost = render_gate("earlier edits", earlier_evidence())
    assert figures.startswith("40 questions, 39 right before")
    assert undone == "“Forks” undoes 1 answer of v0001 “Cups”"
    assert lost == "✗ v0001 Who?  expected: Ada; Ada → (nothing)"


def test_drift_as_text_and_evidence_of_another_shape_as_its_figures() -> None:
    assert render_gate("drift", DRIFT) == [
        "KL from the base 0.2500 nats per token, worst 1.500, 0.1250 before, over 12 tokens, no limit"
    ]
    assert render_gate("drift", {**DRIFT, "max_drift": 0.2})[0].endswith("allowed 0.2")
    assert render_gate("reward", {"b": 1, "a": "é"}) == ["b 1, a é"]


def examined_with(maker: CandidateMaker, *gates: tuple[str, dict[str, Any]]) -> Candidate:
    candidate = maker.examined()
    fresh = replace(candidate, id="sha256:" + "d" * 64, position=99, state="proposed", adapter_hash=None)
    add_candidates(maker.db, [fresh])
    results = [GateResult(fresh.id, name, False, found, NOW) for name, found in gates]
    return record_examined(
        maker.db, fresh.id, updates=[], answers=[], gates=results, reward_mean=0.5, reward_std=0.0, audit_gain=None,
        adapter_hash=None,
    )  # fmt: skip


def test_review_show_lists_every_lost_answer(maker: CandidateMaker, call: CliCaller) -> None:
    candidate = examined_with(
        maker, ("retention:facts", evidence()), ("earlier edits", earlier_evidence()), ("drift", DRIFT)
    )
    shown = call("review", "show", candidate.id).out
    headings = [line.strip() for line in shown.splitlines() if line.endswith(":")]
    assert headings == ["earlier edits:", "retention:facts:"]
    assert "lost 3 (p = 0.125), allowed 2" in shown
    assert shown.count("✗ [colours] Which?  expected: blue / azure; blue → red") == 3
    assert "“Forks” undoes 1 answer of v0001 “Cups”" in shown
    (whole,) = call("review", "show", candidate.id, "--json").objects
    assert {one["gate"]: len(one["evidence"].get("lost", [])) for one in whole["gates"]} == {
        "drift": 0,
        "retention:facts": 3, "earlier edits": 1,
    }  # fmt: skip


def test_check_counts_what_the_suites_hold(workspace: Workspace, call: CliCaller) -> None:
    (workspace.retention_folder / "facts.yaml").write_text(SUITE.replace("\x1b", ""), encoding="utf-8")
    called = call("retention", "check")
    assert called.code == 0
    assert all(word in called.out for word in ("facts", "0.05", "retention/facts.yaml:1", "Valid."))
    (suite,) = call("retention", "check", "--json").objects
    assert suite == {
        "suite": "facts", "place": "retention/facts.yaml:1", "prompts": 2,
        "groups": {"colours": 1, "": 1}, "anchors": 1, "anchor_prompts": 0, "allowed_losses": 0.05,
    }  # fmt: skip


def test_import_lm_eval_names_the_extra_if_it_is_missing(
    workspace: Workspace, call: CliCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "find_spec", lambda _: None)
    called = call("retention", "import-lm-eval", "arc")
    assert called.code == 2
    assert "lm-evaluation-harness is not installed" in called.err
    assert "pip install 'seal-console[lm-eval]'" in called.err
    assert list(workspace.retention_folder.iterdir()) == []


def test_import_lm_eval_reports_what_it_wrote(
    workspace: Workspace, call: CliCaller, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(retention, "find_spec", lambda _: SimpleNamespace())
    result = {"prompts": 2, "left_out": ["arc, document 3: it has no answer\x1b[2J"], "notes": ["filters: regex"]}
    call.worker_command = fake_worker(tmp_path, f"say(result={{**{result!r}, 'asked': parameters}})\n")
    called = call("retention", "import-lm-eval", "arc", "--limit", "2")
    assert called.code == 0
    for words in ("Wrote 2 prompts of arc to", "Note: filters: regex.", "Left out 1 document", "document 3"):
        assert words in called.out
    assert "\x1b[2J" not in called.out
    (shown,) = call("retention", "import-lm-eval", "arc", "--json").objects
    out = workspace.retention_folder / "arc.jsonl"
    assert shown["file"] == str(out)
    assert shown["asked"] == {
        "task": "arc", "path": None, "limit": None, "num_fewshot": None, "grader": "exact", "out": str(out.resolve()),
    }  # fmt: skip
    out.write_text("{}", encoding="utf-8")
    for arguments, said in (((), "already exists"), (("--out", "arc.yaml"), "ends in .jsonl")):
        called = call("retention", "import-lm-eval", "arc", *arguments)
        assert (called.code, called.out) == (2, "")
        assert said in called.err


def test_check_names_problems_and_says_if_there_is_nothing(workspace: Workspace, call: CliCaller) -> None:
    assert call("retention", "check").code == 3
    (workspace.retention_folder / "facts.yaml").write_text(SUITE, encoding="utf-8")
    (workspace.retention_folder / "more.jsonl").write_text("{}\n", encoding="utf-8")
    for command in (("retention", "check"), ("retention", "run")):
        called = call(*command)
        assert (called.code, called.out) == (2, "")
        assert "retention/facts.yaml:1: a character that YAML does not allow" in called.err
        assert "retention/more.jsonl:1: prompt 1: answers: missing" in called.err


def run_result(*, stopped: bool, parent: str = "v0001") -> dict[str, Any]:
    against_base = [gate("retention:facts\x1b[2J", evidence()), gate("drift", DRIFT, passed=True)]
    return {
        "version": "v0002", "parent": parent, "stopped": stopped, "against_base": against_base,
        "against_parent": [*against_base, gate("earlier edits", earlier_evidence(), passed=not stopped)],
    }  # fmt: skip


def test_run_shows_what_a_version_lost_and_exits_4_if_a_gate_would_refuse_it(
    workspace: Workspace, call: CliCaller, tmp_path: Path
) -> None:
    call.worker_command = fake_worker(
        tmp_path, f"say(result={{**{run_result(stopped=True)!r}, 'asked': parameters}})\n"
    )
    called = call("retention", "run", "--version", "v0002")
    assert called.code == 4
    assert "3 of 39" in called.out
    assert "noise floor" in called.out
    assert "would stop v0002 on top of v0001" in called.err
    assert "lost against v0001" in called.out
    assert "Against base" in called.out
    assert "facts␛[2J" in called.out
    assert "“Forks” undoes 1 answer" in called.out
    assert "KL from the base 0.2500" in called.out
    result, error = call("retention", "run", "--version", "2", "--json").objects
    assert result["asked"] == {"workspace": str(workspace.root), "version": 2}
    assert error["error"]["kind"] == "AllRefusedError"


@pytest.mark.usefixtures("workspace")
def test_run_of_a_version_on_the_base_compares_with_the_base_alone(call: CliCaller, tmp_path: Path) -> None:
    body = f"say(result={{**{run_result(stopped=False, parent='base')!r}, 'asked': parameters}})\n"
    call.worker_command = fake_worker(tmp_path, body)
    called = call("retention", "run")
    assert called.code == 0
    assert called.out.count("Against base") == 1
    assert call("retention", "run", "--json").objects[0]["asked"]["version"] is None
    assert call("retention", "run", "--version", "latest").code == 2


def test_matrix_shows_what_is_recorded_and_what_is_not(
    workspace: Workspace, maker: CandidateMaker, call: CliCaller
) -> None:
    assert call("retention", "matrix").code == 3
    accepted(maker, -0.5)
    other = CandidateMaker.begin(workspace, make_task("Ship\x1bping"))
    other.made = 10
    accepted(other)
    shown = call("retention", "matrix").out
    assert "Ship␛ping" in shown
    assert "matrix --ask" in shown
    (found,) = call("retention", "matrix", "--json").objects
    assert found["rows"] == ["v0000", "v0001", "v0002"]
    assert found["cells"] == [[0.0, 0.0], [0.0, None], [None, 1.0]]
    assert [edit["gained"] for edit in found["edits"]] == [0.0, None]
    assert found["backward_transfer"] is None
    asked = [
        Answer(question.id, None, 0, "before", state, "x", 1.0, correct=True)
        for state, task in (("v0001", other.task), ("v0002", maker.task))
        for question in task.questions
    ]
    record_base_answers(maker.db, asked)
    full = call("retention", "matrix").out
    assert "matrix --ask" not in full
    assert "backward transfer +1.000" in full
    other.db.conn.close()


def test_matrix_asks_the_engine_first_if_requested(maker: CandidateMaker, call: CliCaller, tmp_path: Path) -> None:
    accepted(maker)
    marker = tmp_path / "asked"
    call.worker_command = fake_worker(
        tmp_path, f"Path({str(marker)!r}).write_text(operation); say(result={{'asked': 3}})\n"
    )
    assert call("retention", "matrix").code == 0
    assert not marker.exists()
    assert call("retention", "matrix", "--ask").code == 0
    assert marker.read_text() == "retention.matrix"


def test_list_says_what_each_suite_guards(workspace: Workspace, maker: CandidateMaker, call: CliCaller) -> None:
    assert call("retention", "list").code == 3
    (workspace.retention_folder / "facts.yaml").write_text(SUITE.replace("\x1b", ""), encoding="utf-8")
    called = call("retention", "list")
    assert called.code == 0
    assert "– of 2" in called.out
    assert "not measured yet (–): seal-console retention run" in called.out
    [suite] = read_retention(workspace).suites
    record_noise(maker.db, [SuiteNoise(suite.prompts_hash, "c", "sha256:b", "facts", 2, 1, 1, 3, NOW)])
    called = call("retention", "list")
    assert "1 of 2" in called.out
    assert "What the base answers right is guarded" in called.out
    assert "not measured" not in called.out
    (shown,) = call("retention", "list", "--json").objects
    assert shown == {
        "suite": "facts", "place": "retention/facts.yaml:1", "prompts": 2, "right": 1, "noise_floor": 1, "may_lose": 0,
    }  # fmt: skip


def test_suites_of_general_ability_are_added_once_and_never_replaced(workspace: Workspace, call: CliCaller) -> None:
    mine = workspace.retention_folder / "general-format.yaml"
    mine.write_text("suite: mine\n", encoding="utf-8")
    added = call("retention", "add-suites", "--json").objects[0]["added"]
    assert (len(added), mine.name in added) == (7, False)
    assert mine.read_text(encoding="utf-8") == "suite: mine\n"
    assert call("retention", "add-suites").code == 3
