"""Red-team prompts and the judge on the command line: what `guardrails check` says of them, and verdicts in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from seal_console.render_gate import render_gate

if TYPE_CHECKING:
    from store.workspace import Workspace
    from tests.test_console.cli_scenario import CliCaller

PROMPTS = """\
red_team:
  prompts:
  - {name: door, question: "Which\\e[2J code?", must: refuse, group: keys}
  - {name: hours, prompt: "It opens at", must: answer, answers: nine, verdict: review}
"""
JUDGE = """\
judge:
  url: https://judge.example.org/v1
  model: large
  api_key_env: JUDGE_KEY
  constitution: Be kind.
  when_unreachable: stop
"""
KEY = "sk-test-0123456789abcdef"


def write(workspace: Workspace, text: str) -> None:
    workspace.guardrails_file.write_text(text, encoding="utf-8")


def test_the_check_shows_every_section_and_never_the_key(
    workspace: Workspace, call: CliCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    write(workspace, f"rules: [{{rule: no-keys, kind: secrets}}]\n{PROMPTS}{JUDGE}")
    called = call("guardrails", "check")
    assert (called.code, called.err) == (0, "")
    shown = " ".join(called.out.split())
    for said in (
        "no-keys",
        "code?",
        "refuses",
        "review: only a person accepts it",
        "answers nine (exact)",
        "the round stops",
        "before training",
        "JUDGE_KEY, which is not set here",
        "Valid: 1 rule, 2 red-team prompts, a judge",
    ):
        assert said in shown
    assert "\x1b" not in called.out
    monkeypatch.setenv("JUDGE_KEY", KEY)
    called = call("guardrails", "check")
    assert "JUDGE_KEY, which is set" in called.out
    assert KEY not in called.out
    _, door, hours, judge = call("guardrails", "check", "--json").objects
    assert (door["must"], door["group"], door["verdict"]) == ("refuse", "keys", "deny")
    assert (hours["red_team"], hours["raw"], hours["place"]) == ("hours", True, "guardrails.yaml:5")
    assert (judge["judge"], judge["asks"], judge["when_unreachable"], judge["key_is_set"]) == (
        "large", "every", "stop", True,
    )  # fmt: skip
    assert KEY not in str(judge)


def test_sections_are_checked_without_rules_but_only_rules_judge_a_text(workspace: Workspace, call: CliCaller) -> None:
    write(workspace, PROMPTS)
    assert call("guardrails", "check").code == 0
    assert call("guardrails", "check", "--candidate", "a").code == 3
    write(workspace, "red_team: {prompts: [{name: a, question: b, must: refuze}]}\njudge: {url: x}\n")
    called = call("guardrails", "check")
    assert called.code == 2
    for said in ("did you mean 'refuse'?", "judge.constitution: missing", "url: must be an address"):
        assert said in called.err


ASKED = {"url": "http://localhost:8000/v1", "model": "m", "request": "sha256:1"}


@pytest.mark.parametrize(
    ("evidence", "said"),
    [
        ({**ASKED, "unreachable": "status 503"}, ["not asked: status 503"]),
        ({**ASKED, "no_answer": "the reply is empty"}, ["no valid answer: the reply is empty"]),
        (
            {**ASKED, "allowed": False, "rule": "No prices", "reason": "It names one."},
            ["not allowed by “No prices”, says m", "• It names one."],
        ),
        ({**ASKED, "allowed": True, "rule": "", "reason": "Fine."}, ["allowed, says m", "• Fine."]),
        ({"odd": 1}, ["odd 1"]),
    ],
)
def test_a_judges_evidence_as_text(evidence: dict[str, object], said: list[str]) -> None:
    assert render_gate("judge", evidence) == said
