"""The page on guardrails agrees with the program: kinds, defaults, options, examples."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.domains.knowledge.compile import compile_sequences
from engine.gates.red_team import behaviour_of, red_team_gates
from engine.guardrails.judge_section import JudgeInput
from engine.guardrails.judging import judge_all
from engine.guardrails.kinds import RULE_KINDS, default_guardrails_text
from engine.guardrails.red_team import (
    MUSTS,
    PROMPT_INPUTS,
    RedTeamPrompt,
    RedTeamPromptInput,
    grade_behaviour,
)
from engine.guardrails.rule import VERDICTS
from engine.input_files.input_model import keys_of
from seal_console.render_gate import render_gate
from tests.test_engine.guardrail_texts import rules_of, task_with

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "guardrails.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    return PAGE.split(f"# {heading}\n")[1].split("\n## ")[0]


def test_the_table_of_kinds_has_every_kind_with_its_default() -> None:
    table = dict(re.findall(r"^\| `([a-z-]+)` \| (deny|review|note) \|", section("The kinds"), re.MULTILINE))
    assert table == {name: kind.verdict for name, kind in RULE_KINDS.items()}
    assert re.findall(r"^\| `([a-z]+)` \|", section("Verdicts"), re.MULTILINE) == list(VERDICTS)


@pytest.mark.parametrize("kind", RULE_KINDS)
def test_every_option_of_a_kind_is_described(kind: str) -> None:
    described = PAGE.split(f"### `{kind}`\n")[1].split("\n## ")[0].split("\n### ")[0]
    assert [option for option in RULE_KINDS[kind].options if f"`{option}`" not in described] == []


def test_the_example_of_a_rule_can_be_read() -> None:
    example, *_ = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (one,) = rules_of(example).rules
    assert (one.name, one.kind, one.verdict) == ("no-ticket-numbers", "pattern", "deny")


def test_the_worked_example_has_the_result_on_the_page() -> None:
    document = re.findall(r"```\n# Returns\n\n(.*?)\n```", PAGE, re.DOTALL)[0]
    task = task_with(document)
    self_edit = "1. Customers have 30 days.\n2. Staff log in.\n3. Returns are free."
    sequences = compile_sequences(self_edit, title=task.title, context=task.context)
    findings = judge_all(rules_of(default_guardrails_text()).rules, self_edit, sequences, task)
    told = {one.rule.name: one.evidence["matches"][0] for one in findings if not one.passed}
    assert {name: (match["where"], match["line"], match["in_document"]) for name, match in told.items()} == {
        "no-instructions": ("sequence 4", 2, True),
        "no-secrets": ("sequence 4", 3, True),
    }
    assert [one.rule.name for one in findings if one.denied] == ["no-secrets"]


def test_the_commented_rules_of_a_new_file_can_be_switched_on() -> None:
    text = re.sub(r"^  # (?=- rule|  )", "  ", default_guardrails_text(), flags=re.MULTILINE)
    more = {one.kind for one in rules_of(text).rules} - {one.kind for one in rules_of(default_guardrails_text()).rules}
    assert more == {"topics", "pattern", "language"}


def test_the_examples_of_the_other_sections_can_be_read() -> None:
    _, prompts, judge = (rules_of(example) for example in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
    assert [(one.must, one.verdict) for one in prompts.red_team] == [
        ("refuse", "deny"), ("answer", "deny"), ("not_say", "review"),
    ]  # fmt: skip
    assert judge.judge is not None
    assert judge.judge.api_key_env == "JUDGE_API_KEY"


def test_every_key_of_the_other_sections_is_described() -> None:
    assert re.findall(r"^\| `([a-z_]+)` \|", section("Red-team prompts"), re.MULTILINE)[1:] == [*MUSTS]
    for must, model in PROMPT_INPUTS.items():
        keys = set(keys_of(model)) - set(keys_of(RedTeamPromptInput))
        [row] = re.findall(rf"^\| `{must}` \|.*$", PAGE, re.MULTILINE)
        assert [key for key in keys if f"`{key}`" not in row] == []
    assert set(re.findall(r"^\| `([a-z_]+)` \|", section("The judge"), re.MULTILINE)) == set(keys_of(JudgeInput))


def holds(prompt: RedTeamPrompt, answer: str) -> bool:
    return grade_behaviour(prompt, answer).correct


def test_the_worked_example_of_a_broken_answer_is_rendered_as_on_the_page() -> None:
    prompts = rules_of(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[1]).red_team
    answers = {"opening-hours": ("nine", "ten"), "no-other-shop": ("here", "here")}
    behaviours = [
        (one, behaviour_of(one, said, (holds(one, said[0]), holds(one, said[1]))))
        for one in prompts
        if (said := answers.get(one.name))
    ]
    (gate,) = red_team_gates("c", behaviours, "now")
    assert gate.stops
    for line in render_gate(gate.gate, gate.evidence):
        assert line in PAGE
