"""`guardrails`: check the rules, apply them, ask a version the red-team prompts."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.guardrails.judging import judge_all, rule_verdict
from engine.guardrails.reading import read_guardrails
from engine.input_files.text_files import UnreadableFileError, read_text_file
from engine.settings.reading import load_settings
from seal_console.cli.command import SealGroup
from seal_console.cli.engine_call import call_engine
from seal_console.cli.invocation import pass_invocation
from seal_console.cli.workspace_session import open_to_show
from seal_console.format import RIGHT_SIGN, WRONG_SIGN, facts, gate_verdict, show_line, show_text, table
from seal_console.render_gate import NOT_TESTED, render_gate, verdict_label
from store.candidates import get_candidate
from store.clock import utc_now
from store.errors import AllRefusedError, ExitCode, NothingToDoError, WrongUseError
from store.rows import full_id
from store.tasks import get_task
from store.version_tags import parse_number
from store.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine.guardrails.judge_section import JudgeSettings
    from engine.guardrails.reading import Guardrails
    from engine.guardrails.red_team import RedTeamPrompt
    from engine.guardrails.rule import Rule, RuleFinding
    from seal_console.cli.invocation import Invocation, Output
    from seal_console.format import Cell
    from store.records import Task


@click.group(
    "guardrails",
    cls=SealGroup,
    short_help="Check rules, judge and red-team prompts.",
    examples=("seal-console guardrails check", "seal-console guardrails check --text draft.txt"),
)
def guardrails() -> None:
    """Check the rules and red-team prompts of guardrails.yaml, which every self-edit must pass before it is trained on.

    docs/guardrails.md describes the format, and what the rules cannot find.
    """


@guardrails.command(
    "check",
    short_help="Check guardrails.yaml, or apply its rules to a text.",
    examples=(
        "seal-console guardrails check",
        "seal-console guardrails check --candidate 3fa9c1",
        "seal-console guardrails check --text draft.txt --task 8b1f --json",
    ),
    exits=(ExitCode.NOTHING_TO_DO, ExitCode.ALL_REFUSED),
    refused="a rule denies the text",
)
@click.option("--candidate", "candidate_id", metavar="ID", help="Apply the current rules to a recorded candidate.")
@click.option(
    "--text",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Apply the rules to a text as if it were a self-edit.",
)
@click.option("--task", "task_id", metavar="ID", help="With --text: the self-edit's task.")
@pass_invocation
def check(invocation: Invocation, candidate_id: str | None, text: Path | None, task_id: str | None) -> None:
    """Read guardrails.yaml as a round does and list its contents; or apply its rules to a candidate or a text.

    No model is loaded, no judge is asked, nothing is recorded.
    """
    if candidate_id is not None and (text is not None or task_id is not None):
        raise WrongUseError("--candidate cannot be combined with --text or --task.")
    if task_id is not None and text is None:
        raise WrongUseError("--task needs a text.", next_step="--text FILE")
    workspace = invocation.workspace()
    if text is not None and not text.exists():
        raise WrongUseError(f"{text} does not exist.", next_step="Name a text file with --text FILE.")
    guardrails = read_guardrails(workspace)
    judges = candidate_id is not None or text is not None
    if not guardrails.rules and (judges or (not guardrails.red_team and guardrails.judge is None)):
        raise NothingToDoError(
            f"{workspace.guardrails_file} is missing or has no rule.",
            next_step="Write rules (see docs/guardrails.md), then check again.",
        )
    if candidate_id is not None:
        _show_findings(invocation.output, _of_candidate(invocation, guardrails.rules, candidate_id))
    elif text is not None:
        _show_findings(invocation.output, _of_text(invocation, guardrails.rules, text, task_id))
    else:
        show_guardrails(invocation.output, guardrails)


@guardrails.command(
    "red-team",
    short_help="Ask a version the red-team prompts.",
    examples=("seal-console guardrails red-team", "seal-console guardrails red-team --version v0003 --json"),
    exits=(ExitCode.NOTHING_TO_DO, ExitCode.ALL_REFUSED, ExitCode.LOCKED),
    refused="a prompt with the verdict deny fails",
)
@click.option("--version", "written", metavar="TAG", help="Version to ask (v0000: the base; default: the live one).")
@click.option("--base", is_flag=True, help="The base alone.")
@pass_invocation
def red_team(invocation: Invocation, written: str | None, base: bool) -> None:
    """Ask a version the red-team prompts of guardrails.yaml now and report which pass.

    Nothing is trained. A prompt with the verdict deny that fails would refuse every candidate that does not make it
    pass.
    """
    if base and written is not None:
        raise WrongUseError("Use either --base or --version.")
    workspace = invocation.workspace()
    load_settings(workspace.settings_file)
    read_guardrails(workspace)
    version = 0 if base else None if written is None else parse_number(written)
    result = call_engine(
        invocation,
        "guardrails.red_team",
        {"workspace": str(workspace.root), "version": version},
        next_step="seal-console guardrails red-team continues from there.",
    )
    if invocation.output.as_json:
        invocation.output.data(result)
    else:
        show_red_team(invocation.output, result)
    if result["denied"]:
        raise AllRefusedError(
            f"{result['version']} fails a prompt with the verdict deny: every candidate that does "
            "not make it pass is refused.",
            next_step="Set its verdict in guardrails.yaml to note until the model passes it.",
        )


def _of_candidate(invocation: Invocation, rules: Sequence[Rule], candidate_id: str) -> list[RuleFinding]:
    with open_to_show(invocation) as found:
        candidate = get_candidate(found.db, candidate_id)
        task = get_task(found.db, candidate.task_id)
    if not task.context:
        raise WrongUseError(f"The text of candidate {candidate.id} was purged, so there is nothing to check.")
    return judge_all(rules, candidate.completion, candidate.sequences, task)


def _of_text(invocation: Invocation, rules: Sequence[Rule], path: Path, task_id: str | None) -> list[RuleFinding]:
    try:
        text = read_text_file(path, None).text.rstrip("\n")
    except UnreadableFileError as error:
        raise WrongUseError(str(error)) from error
    if task_id is None:
        return judge_all(rules, text, [line for line in text.split("\n") if line.strip()], None)
    task = _task(invocation, task_id)
    domain = load_settings(invocation.workspace().settings_file).make_domain()
    sequences = [example.text for example in domain.compile(text, task).examples]
    return judge_all(rules, text, sequences, task)


def _task(invocation: Invocation, wanted: str) -> Task:
    with open_to_show(invocation) as found:
        task_id = full_id(found.db, "tasks", wanted, what="task", list_command="seal-console tasks list")
        return get_task(found.db, task_id)


def _show_findings(output: Output, findings: Sequence[RuleFinding]) -> None:
    gates = [rule_verdict(finding, "", utc_now()) for finding in findings]
    if output.as_json:
        for finding, gate in zip(findings, gates, strict=True):
            verdict = verdict_label(gate).word
            passed = None if verdict == NOT_TESTED.word else finding.passed
            known = {"rule": finding.rule.name, "passed": passed, "verdict": verdict}
            output.data({**known, "evidence": finding.evidence})
    else:
        words = [render_gate(gate.gate, gate.evidence) for gate in gates]
        rows = [
            (finding.rule.name, gate_verdict(verdict_label(gate)), first)
            for finding, gate, (first, *_) in zip(findings, gates, words, strict=True)
        ]
        output.show(table(("rule", "verdict", "evidence"), rows))
        for finding, (_, *details) in zip(findings, words, strict=True):
            output.show(*[show_line(f"  {finding.rule.name}: {line}") for line in details])
    denied = [finding.rule.name for finding in findings if finding.denied]
    if denied:
        raise AllRefusedError(
            f"Denied by {', '.join(denied)}: nothing would be trained on it.",
            next_step="The matches are listed above; the rules are in guardrails.yaml.",
        )


_IF_FOUND = {
    "deny": "deny: never trained",
    "review": "review: only a person accepts it",
    "note": "note: only recorded",
}
_IF_FAILED = {**_IF_FOUND, "deny": "deny: refused"}
_ASKED = {
    "every": "before training, every self-edit that no rule denies",
    "kept": "after training, every self-edit that passed its own task's gates",
}
_UNREACHABLE = {"review": "the self-edit needs review", "stop": "the round stops"}


def show_guardrails(output: Output, guardrails: Guardrails) -> None:
    """Show every section that is there."""
    if output.as_json:
        for line in _as_json(guardrails):
            output.data(line)
        return
    if guardrails.rules:
        rows = [_rule_row(rule) for rule in guardrails.rules]
        output.show(table(("rule", "kind", "if found", "looks for", "defined at"), rows))
    if guardrails.red_team:
        prompts = [_prompt_row(prompt) for prompt in guardrails.red_team]
        output.show(table(("red-team prompt", "text", "expected", "if it fails", "defined at"), prompts))
    if guardrails.judge is not None:
        output.show(show_line("judge", "bold"), facts(_judge_facts(guardrails.judge)))
    counts = [counted(len(guardrails.rules), "rule")]
    counts += [counted(len(guardrails.red_team), "red-team prompt")] if guardrails.red_team else []
    counts += ["a judge"] if guardrails.judge is not None else []
    output.show(f"Valid: {', '.join(counts)}. Next: seal-console guardrails check --candidate ID")


def show_red_team(output: Output, result: Mapping[str, Any]) -> None:
    """Show how a version behaves on each red-team prompt, and how many pass."""
    rows = [
        (
            f"[{one['group']}] {one['name']}" if one["group"] else one["name"],
            show_text(f"{RIGHT_SIGN} passes", "green") if one["passes"] else show_text(f"{WRONG_SIGN} fails", "red"),
            one["verdict"],
            one["text"],
            one["expected"],
            f"“{one['answer']}”" if one["answer"] else "(nothing)",
        )
        for one in result["prompts"]
    ]
    output.show(
        table(("red-team prompt", "result", "verdict", "text", "expected", "answer"), rows, whole=("result", "verdict"))
    )
    failing = sum(not one["passes"] for one in result["prompts"])
    passing = counted(len(rows) - failing, "passes", "pass")
    failing_words = counted(failing, "fails", "fail")
    output.show(f"{result['version']}: {counted(len(rows), 'prompt')}, {passing}, {failing_words}.")


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
    return name, prompt.text, prompt.says(), _IF_FAILED[prompt.verdict], prompt.place


def _judge_facts(judge: JudgeSettings) -> Iterator[tuple[str, Cell]]:
    yield "endpoint", f"{judge.url}, model {judge.model}, {judge.at_once} at once"
    yield "when", _ASKED[judge.asks]
    yield "if not allowed", _IF_FOUND[judge.verdict] if judge.asks == "every" else _IF_FAILED[judge.verdict]
    yield (
        "if unreachable",
        f"after {counted(judge.attempts, 'attempt')} of {judge.timeout_s:g} s {_UNREACHABLE[judge.when_unreachable]}",
    )
    yield "constitution", f"{len(judge.constitution):,} characters{_from_file(judge)}"
    if judge.api_key_env:
        yield "key", f"in {judge.api_key_env}, which is {'set' if _key_is_set(judge) else 'not set here'}"


def _from_file(judge: JudgeSettings) -> str:
    return f" from {judge.constitution_file}" if judge.constitution_file else ""


def _key_is_set(judge: JudgeSettings) -> bool:
    return not judge.api_key_env or bool(os.environ.get(judge.api_key_env, "").strip())
