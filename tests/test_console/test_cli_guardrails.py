"""`guardrails check` on the command line, and what rules found, in words, wherever candidates are shown."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from seal_console.queries.queue import QueueQuery, queue_keys, queue_rows
from seal_console.queries.rounds import round_facts, round_lines
from seal_console.render_gate import needs_review_by, render_gate, verdict_label
from store.candidates import get_candidate
from store.records import GateResult
from store.rounds import finish_round
from tests.test_console.rule_scenario import evidence, judged

if TYPE_CHECKING:
    from pathlib import Path

    from store.records import OnFailure
    from store.workspace import Workspace
    from tests.test_console.cli_scenario import CandidateMaker, CliCaller

RULES = """\
rules:
  - rule: no-keys
    kind: secrets
  - rule: house words
    kind: topics
    words: [merger, period]
    verdict: review
  - {rule: addresses, kind: personal-data, verdict: note}
"""
KEY = "AKIAIOSFODNN7EXAMPLE"


def write(workspace: Workspace, text: str = RULES) -> None:
    workspace.guardrails_file.write_text(text, encoding="utf-8")


def test_the_rules_themselves_are_checked_and_explained(workspace: Workspace, call: CliCaller) -> None:
    missing = call("guardrails", "check")
    assert (missing.code, missing.out) == (3, "")
    assert "docs/guardrails.md" in missing.err
    write(workspace)
    called = call("guardrails", "check")
    assert (called.code, called.err) == (0, "")
    for said in (
        "no-keys",
        "deny: never trained",
        "review: only a person accepts it",
        "note: only recorded",
        "guardrails.yaml:2",
        "none of the words: merger, period",
        "Valid: 3 rules",
    ):
        assert said in called.out
    first, *_ = call("guardrails", "check", "--json").objects
    assert first["rule"] == "no-keys"
    assert (first["verdict"], first["applies_to"], first["place"]) == ("deny", "both", "guardrails.yaml:2")
    assert first["options"]["base64_entropy"] is None


def test_every_problem_of_the_rules_is_named(workspace: Workspace, call: CliCaller) -> None:
    write(workspace, "rules:\n  - rule: a\n    kind: secret\n    verdict: deny\n  - rule: b\n    kind: size\n")
    called = call("guardrails", "check")
    assert (called.code, called.out) == (2, "")
    assert "guardrails.yaml:3: rule 1: kind: unknown kind 'secret'; did you mean 'secrets'?" in called.err
    assert "guardrails.yaml:5: rule 2: has no limit" in called.err
    (error,) = call("guardrails", "check", "--json").objects
    assert len(error["error"]["problems"]) == 2


def test_a_text_is_judged_and_exit_code_4_says_that_it_is_denied(
    workspace: Workspace, call: CliCaller, tmp_path: Path
) -> None:
    write(workspace)
    text = tmp_path / "draft.txt"
    text.write_text(f"Returns take long.\nA key\x1b[2J {KEY}\nask joe@x.org about the merger\n", encoding="utf-8")
    called = call("guardrails", "check", "--text", text)
    assert called.code == 4
    assert "Denied by no-keys" in called.err
    for said in ("✗ refused", "‖ needs review", "› noted", "no-keys: • self-edit, line 2: AWS Access Key: ••••"):
        assert said in called.out
    assert KEY not in called.out
    assert "joe@x.org" not in called.out
    *found, error = call("guardrails", "check", "--text", text, "--json").objects
    assert [one["verdict"] for one in found] == ["refused", "needs review", "noted"]
    assert error["error"]["kind"] == "AllRefusedError"
    text.write_text("the merger", encoding="utf-8")
    assert call("guardrails", "check", "--text", text).code == 0
    text.write_bytes(b"\xff")
    assert call("guardrails", "check", "--text", text).code == 2


def test_with_a_task_the_text_is_judged_as_the_sequences_that_it_would_become(
    workspace: Workspace, maker: CandidateMaker, call: CliCaller, tmp_path: Path
) -> None:
    write(workspace, "rules: [{rule: passage, kind: pattern, patterns: ['^Now 30 days']}]")
    text = tmp_path / "draft.txt"
    text.write_text("A line.", encoding="utf-8")
    assert call("guardrails", "check", "--text", text).code == 0
    called = call("guardrails", "check", "--text", text, "--task", maker.task.id[:12], "--json")
    assert called.code == 4
    assert called.objects[0]["evidence"]["matches"][0]["where"] == "sequence 2"
    assert call("guardrails", "check", "--text", text, "--task", "zz").code == 2


def test_a_recorded_candidate_is_judged_by_the_rules_as_they_are_now_and_nothing_is_recorded(
    workspace: Workspace, maker: CandidateMaker, call: CliCaller
) -> None:
    candidate = maker.examined(completion=f"The return period is 30 days. {KEY}")
    write(workspace, "rules: [{rule: period, kind: topics, words: [period]}]")
    called = call("guardrails", "check", "--candidate", candidate.id[:14], "--json")
    assert called.code == 0
    (found,) = called.objects
    assert (found["rule"], found["verdict"]) == ("period", "needs review")
    write(workspace)
    assert call("guardrails", "check", "--candidate", candidate.id).code == 4
    assert get_candidate(maker.db, candidate.id) == candidate
    assert call("guardrails", "check", "--candidate", "zz").code == 2


@pytest.mark.parametrize(
    "words", [("--task", "a"), ("--candidate", "a", "--text", "b"), ("--candidate", "a", "--task", "b")]
)
def test_options_that_do_not_go_together_are_wrong_use(
    workspace: Workspace, call: CliCaller, words: tuple[str, ...]
) -> None:
    write(workspace)
    called = call("guardrails", "check", *words)
    assert (called.code, called.out) == (2, "")


def test_checking_loads_no_torch(workspace: Workspace, tmp_path: Path) -> None:
    write(workspace)
    (tmp_path / "t.txt").write_text("a merger")
    words = ["-w", str(workspace.root), "guardrails", "check", "--text", str(tmp_path / "t.txt")]
    code = (
        f"import sys; from seal_console.cli.main import main; assert main({words!r}) == 0; "
        "sys.exit(sum(name in sys.modules for name in ('torch', 'transformers', 'peft')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


def test_the_command_line_and_the_console_begin_without_the_libraries_of_the_rules() -> None:
    code = (
        "import sys, seal_console.cli.main, seal_console.console.app; "
        "sys.exit(sum(name in sys.modules for name in ('detect_secrets', 'phonenumbers', 'py3langid', 'stdnum')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_a_rule_found_as_text() -> None:
    first, match = render_gate("rule:no-keys", evidence())
    assert first == "secrets: found 1"
    assert match == "• self-edit, line 3: AWS Access Key: •••• (also in the context)"
    elsewhere = {**evidence()["matches"][0], "line": None, "in_document": False}
    _, match, more = render_gate("rule:no-keys", evidence(matches=[elsewhere], found=1_021))
    assert match == "• self-edit: AWS Access Key: •••• (not in the context)"
    assert more == "… and 1,020 more"
    assert render_gate("rule:x", evidence(kind="size", found=0, matches=[], measured={"longest_sequence": 4})) == [
        "size: nothing found, longest sequence 4"
    ]
    assert render_gate("rule:x", {"odd": 1}) == ["odd 1"]


@pytest.mark.parametrize(
    ("passed", "on_failure", "said"),
    [
        (True, "hold", "✓ passed"),
        (False, None, "✗ refused"),
        (False, "hold", "‖ needs review"),
        (False, "note", "› noted"),
    ],
)
def test_verdicts_are_distinguished_by_sign_and_word(passed: bool, on_failure: OnFailure | None, said: str) -> None:
    assert str(verdict_label(GateResult("c", "g", passed, {}, "now", on_failure))) == said


@pytest.mark.parametrize(
    ("gate", "found"),
    [
        ("rule:exam", {"kind": "leak", "measured": {"audit_questions": 0}}),
        ("audit", {"audit_gain": None, "must_be_at_least": 0.0}),
        ("retention:facts", {"prompts": 4, "right_before": 0}),
        ("earlier edits", {"prompts": 4, "right_before": 0}),
        ("drift", {"mean_kl": 0.2, "max_drift": None}),
    ],
)
def test_a_gate_with_nothing_to_test_never_reads_as_passed(gate: str, found: dict[str, Any]) -> None:
    assert str(verdict_label(GateResult("c", gate, True, found, "now"))) == "– not tested"
    measured = {"measured": {"audit_questions": 1}, "audit_gain": 0.0, "right_before": 1, "max_drift": 0.3}
    assert str(verdict_label(GateResult("c", gate, True, {**found, **measured}, "now"))) == "✓ passed"


def test_a_text_without_a_task_is_not_tested_for_a_leak(workspace: Workspace, call: CliCaller, tmp_path: Path) -> None:
    workspace.guardrails_file.write_text("rules:\n  - {rule: exam, kind: leak}\n  - {rule: keys, kind: secrets}\n")
    (tmp_path / "t.txt").write_text("a merger")
    assert "– not tested" in call("guardrails", "check", "--text", tmp_path / "t.txt").out
    exam, keys = call("guardrails", "check", "--text", tmp_path / "t.txt", "--json").objects
    assert (exam["passed"], exam["verdict"]) == (None, "not tested")
    assert (keys["passed"], keys["verdict"]) == (True, "passed")


def test_a_candidate_that_was_never_trained_is_listed_and_shown(maker: CandidateMaker, call: CliCaller) -> None:
    refused = judged(maker, ("no-keys", False, None), ("fine", True, "hold"))
    assert refused.state == "refused"
    shown = call("review", "show", refused.id)
    assert shown.code == 0
    for said in ("rule:no-keys", "✗ refused", "✓ passed", "not measured: not trained", "not answered"):
        assert said in shown.out
    (as_json,) = call("review", "show", refused.id, "--json").objects
    assert as_json["inner_updates"] == []
    assert {gate["gate"]: gate["on_failure"] for gate in as_json["gates"]} == {
        "rule:no-keys": None,
        "rule:fine": "hold",
    }
    (listed,) = call("review", "list", "--state", "refused", "--json").objects
    assert (listed["id"], listed["reward_mean"], listed["needs_review"]) == (refused.id, None, False)
    assert "not measured" in call("review", "list", "--state", "refused").out
    accepted = call("review", "accept", refused.id, "--reason", "x")
    assert (accepted.code, accepted.out) == (2, "")
    assert call("export", "table", "review", "--all").code == 0


def test_a_candidate_that_needs_review_is_marked_in_the_list_and_when_it_is_accepted(
    maker: CandidateMaker, call: CliCaller
) -> None:
    held = judged(maker, ("words", False, "hold"), ("address", False, "note"), trained=True)
    assert held.state == "examined"
    assert "needs review: rule:words" in call("review", "list").out.replace("\n", " ")
    listed = {one["id"]: (one["needs_review"], one["review_gates"]) for one in call("review", "list", "--json").objects}
    assert listed.pop(held.id) == (True, ["rule:words"])
    assert set(map(str, listed.values())) == {"(False, [])"}
    without_adapter = call("review", "accept", held.id, "--reason", "x")
    assert (without_adapter.code, "accepted by" in without_adapter.err) == (2, False)
    trained = maker.examined()
    row = {"candidate_id": trained.id, "gate": "rule:words", "passed": 0, "evidence": json.dumps(evidence())}
    maker.db["gates"].insert({**row, "on_failure": "hold", "decided_at": "2026-11-22T10:00:00.000Z"})
    accepted = call("review", "accept", trained.id, "--reason", "x")
    assert (accepted.code, "rule:words: needs review; accepted by" in accepted.err) == (0, True)


def test_a_list_names_the_judge_and_red_team_prompts_as_what_holds() -> None:
    assert needs_review_by(["judge"]) == "needs review: the judge"
    assert needs_review_by(["rule:words", "red team:keys"]) == "needs review: rule:words and red team:keys"
    assert needs_review_by(["a", "b", "judge"]) == "needs review: a, b and the judge"


def test_info_sums_up_the_guardrails_over_the_newest_round_by_the_gravest_verdict(
    maker: CandidateMaker, call: CliCaller
) -> None:
    maker.examined()
    assert "guardrails.yaml  no recent verdicts" in call("info").out
    assert call("info", "--json").objects[0]["workspace"]["guardrails"] is None
    judged(maker, ("a", False, None), ("b", False, "hold"))
    judged(maker, ("b", False, "hold"), ("c", False, "note"), trained=True)
    judged(maker, ("c", False, "note"), trained=True)
    judged(maker, ("c", True, "note"), trained=True)
    assert "1 denied, 1 to review, 1 noted of 4 in round 1" in call("info").out
    figures = {"round_number": 1, "judged": 4, "denied": 1, "needs_review": 1, "noted": 1}
    assert call("info", "--json").objects[0]["workspace"]["guardrails"] == figures
    finish_round(maker.db, 1, "done", {}, None)
    maker.examined()
    assert "1 denied, 1 to review, 1 noted of 4 in round 1" in call("info").out


def test_only_gates_that_stop_count_as_refusing_in_a_round(maker: CandidateMaker) -> None:
    judged(maker, ("a", False, None), ("b", False, "hold"), ("c", False, "note"))
    (line,) = round_lines(maker.db)
    facts = round_facts(maker.db, line)
    assert (line.refused, facts.refused_by_gate) == (1, {"rule:a": 1})


def test_the_queue_knows_what_needs_review(maker: CandidateMaker) -> None:
    held = judged(maker, ("words", False, "hold"), trained=True)
    keys = queue_keys(maker.db, QueueQuery("review=1"))
    assert [row.id for row in queue_rows(maker.db, keys).values()] == [held.id]
    (other,) = queue_rows(maker.db, queue_keys(maker.db, QueueQuery("held=0"))).values()
    assert other.needs_review == 0
