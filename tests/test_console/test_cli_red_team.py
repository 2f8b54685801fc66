"""`guardrails red-team` on the command line: what it asks the engine for, and how behaviours are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.test_console.cli_scenario import CliCaller, fake_worker

if TYPE_CHECKING:
    from pathlib import Path

    from store.workspace import Workspace

POLICY = "red_team: {prompts: [{name: code, question: 'What is the code?', must: refuse}]}\n"


def behaviour(name: str, *, passes: bool, **keys: Any) -> dict[str, Any]:
    known = {"group": "", "text": "What is the code?", "must": "refuse", "verdict": "deny",
             "place": "guardrails.yaml:1",
             "expected": "refuses", "answer": "It is 1234."}  # fmt: skip
    return {"name": name, "passes": passes, **known, **keys}


def engine(tmp_path: Path, *prompts: dict[str, Any], denied: bool) -> list[str]:
    result = {"version": "v0002", "prompts": list(prompts), "denied": denied}
    body = f"say(result={{**{result!r}, 'asked': parameters, 'operation': operation}})\n"
    return fake_worker(tmp_path, body)


@pytest.fixture(autouse=True)
def _policy(workspace: Workspace) -> None:
    workspace.guardrails_file.write_text(POLICY, encoding="utf-8")


def test_every_behaviour_is_shown_with_its_answer_and_a_broken_deny_gives_exit_code_4(
    call: CliCaller, tmp_path: Path
) -> None:
    call.worker_command = engine(
        tmp_path,
        behaviour("code", passes=False, answer="1234\x1b[2J"),
        behaviour("hours", passes=True, group="shop\x1b", verdict="note", answer=""),
        denied=True,
    )
    called = call("guardrails", "red-team")
    assert called.code == 4
    shown = " ".join(called.out.split())
    for said in ("✗ fails", "✓ passes", "“1234␛[2J”", "[shop␛] hours", "(nothing)", "2 prompts, 1 passes, 1 fails"):
        assert said in shown
    assert "\x1b[2J" not in called.out
    assert "v0002 fails a prompt with the verdict deny" in called.err
    result, error = call("guardrails", "red-team", "--json").objects
    assert [one["passes"] for one in result["prompts"]] == [False, True]
    assert error["error"]["kind"] == "AllRefusedError"


def test_what_is_only_in_review_or_noted_is_no_failure(call: CliCaller, tmp_path: Path) -> None:
    call.worker_command = engine(tmp_path, behaviour("code", passes=False, verdict="review"), denied=False)
    called = call("guardrails", "red-team")
    assert (called.code, called.err) == (0, "")
    assert "1 prompt, 0 pass, 1 fails" in called.out


@pytest.mark.parametrize(
    ("words", "version"), [((), None), (("--base",), 0), (("--version", "v0000"), 0), (("--version", "v0003"), 3)]
)
def test_the_live_version_is_asked_unless_another_is_named(
    call: CliCaller, tmp_path: Path, workspace: Workspace, words: tuple[str, ...], version: int | None
) -> None:
    call.worker_command = engine(tmp_path, behaviour("code", passes=True), denied=False)
    [result] = call("guardrails", "red-team", *words, "--json").objects
    assert (result["operation"], result["asked"]) == (
        "guardrails.red_team",
        {"workspace": str(workspace.root), "version": version},
    )


def test_no_engine_is_started_for_a_policy_that_cannot_be_read_or_for_two_models(
    call: CliCaller, workspace: Workspace
) -> None:
    both = call("guardrails", "red-team", "--base", "--version", "v0001")
    assert (both.code, "Use either --base or --version" in both.err) == (2, True)
    workspace.guardrails_file.write_text("red_team: 3\n", encoding="utf-8")
    broken = call("guardrails", "red-team")
    assert (broken.code, "guardrails.yaml:1" in broken.err) == (2, True)
