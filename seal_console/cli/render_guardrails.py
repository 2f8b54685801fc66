"""What guardrails.yaml holds, as a page of the terminal or as JSON lines, and how a version behaves on its prompts."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from seal_console.format import RIGHT_SIGN, WRONG_SIGN, facts, show_line, show_text, table
from store.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.guardrails.judge_section import JudgeSettings
    from engine.guardrails.red_team import RedTeamPrompt
    from engine.guardrails.rule import Guardrails, Rule
    from seal_console.cli.output import Output
    from seal_console.format import Cell

_IF_FOUND = {"deny": "deny: never trained", "hold": "hold: needs review", "note": "note: only recorded"}
_IF_BROKEN = {**_IF_FOUND, "deny": "deny: refused"}
_ASKED = {
    "every": "before training, about every self-edit that no rule denies",
    "kept": "after training, about every self-edit that passed its own task's gates",
}
_UNREACHABLE = {"hold": "the self-edit needs review", "stop": "the round stops"}


def show_guardrails(output: Output, guardrails: Guardrails) -> None:
    """Show every section that is there."""
    if output.as_json:
        for line in _as_json(guardrails):
            output.data(line)
        return
    if guardrails.rules:
        rows = [_rule_row(rule) for rule in guardrails.rules]
        output.show(table(("rule", "kind", "if found", "what it asks", "file"), rows))
    if guardrails.red_team:
        prompts = [_prompt_row(prompt) for prompt in guardrails.red_team]
        output.show(table(("red team", "prompt", "must hold", "if not", "file"), prompts))
    if guardrails.judge is not None:
        output.show(show_line("judge", "bold"), facts(_judge_facts(guardrails.judge)))
    counts = [counted(len(guardrails.rules), "rule")]
    counts += [counted(len(guardrails.red_team), "red-team prompt")] if guardrails.red_team else []
    counts += ["a judge"] if guardrails.judge is not None else []
    output.show(f"All sound: {', '.join(counts)}. Next: seal-console guardrails check --candidate ID")


def show_red_team(output: Output, result: Mapping[str, Any]) -> None:
    """Show how a version behaves on each red-team prompt, and how many hold."""
    rows = [
        (
            f"[{one['group']}] {one['name']}" if one["group"] else one["name"],
            show_text(f"{RIGHT_SIGN} holds", "green") if one["holds"] else show_text(f"{WRONG_SIGN} broken", "red"),
            one["verdict"],
            one["text"],
            one["wanted"],
            f"“{one['answer']}”" if one["answer"] else "(nothing)",
        )
        for one in result["prompts"]
    ]
    output.show(table(("red team", "now", "if not", "prompt", "must", "answer"), rows, whole=("now", "if not")))
    broken = sum(not one["holds"] for one in result["prompts"])
    output.show(f"{result['version']}: {counted(len(rows), 'prompt')}, {len(rows) - broken} hold, {broken} broken.")


def _as_json(guardrails: Guardrails) -> Iterator[dict[str, object]]:
    for rule in guardrails.rules:
        known = {"rule": rule.name, "kind": rule.kind, "verdict": rule.verdict, "applies_to": rule.applies_to}
        yield {**known, "options": rule.options, "says": rule.check.says(), "place": rule.place}
    for prompt in guardrails.red_team:
        yield {"red_team": prompt.name, **{key: value for key, value in asdict(prompt).items() if key != "name"}}
    if guardrails.judge is not None:
        yield {"judge": guardrails.judge.model, **asdict(guardrails.judge), "key_is_set": _key_is_set(guardrails.judge)}


def _rule_row(rule: Rule) -> tuple[str, ...]:
    return rule.name, rule.kind, _IF_FOUND[rule.verdict], rule.check.says(), rule.place


def _prompt_row(prompt: RedTeamPrompt) -> tuple[str, ...]:
    name = f"[{prompt.group}] {prompt.name}" if prompt.group else prompt.name
    return name, prompt.text, prompt.says(), _IF_BROKEN[prompt.verdict], prompt.place


def _judge_facts(judge: JudgeSettings) -> Iterator[tuple[str, Cell]]:
    yield "asked at", f"{judge.url}, model {judge.model}, {judge.at_once} at once"
    yield "when", _ASKED[judge.asks]
    yield "if not allowed", _IF_FOUND[judge.verdict] if judge.asks == "every" else _IF_BROKEN[judge.verdict]
    yield (
        "if not reached",
        f"after {judge.attempts} attempts of {judge.timeout_s:g} s {_UNREACHABLE[judge.when_unreachable]}",
    )
    yield "constitution", f"{len(judge.constitution):,} characters{_from_file(judge)}"
    if judge.api_key_env:
        yield "key", f"in {judge.api_key_env}, which is {'set' if _key_is_set(judge) else 'not set here'}"


def _from_file(judge: JudgeSettings) -> str:
    return f" from {judge.constitution_file}" if judge.constitution_file else ""


def _key_is_set(judge: JudgeSettings) -> bool:
    return not judge.api_key_env or bool(os.environ.get(judge.api_key_env, "").strip())
