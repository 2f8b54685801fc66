"""`guardrails`: what must not get into training: check the rules, judge by them, ask a version the red-team prompts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.domains.knowledge.compile import compile_sequences
from engine.guardrails.judging import judge_all, rule_verdict
from engine.guardrails.reading import read_guardrails
from engine.settings.reading import load_settings
from seal_console.cli.command import SealGroup
from seal_console.cli.engine_call import call_engine
from seal_console.cli.invocation import pass_invocation
from seal_console.cli.render_guardrails import show_guardrails, show_red_team
from seal_console.cli.workspace_session import open_to_show
from seal_console.format import gate_verdict, show_line, table
from seal_console.render_gate import render_gate, verdict_label
from store.candidates import get_candidate
from store.clock import utc_now
from store.errors import AllRefusedError, ExitCode, NothingToDoError, WrongUseError
from store.lookup import full_id
from store.tasks import get_task
from store.version_tags import parse_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.guardrails.rule import Rule, RuleFinding
    from seal_console.cli.invocation import Invocation
    from seal_console.cli.output import Output
    from store.records import Task


@click.group(
    "guardrails",
    cls=SealGroup,
    short_help="Keep things out of training.",
    examples=("seal-console guardrails check", "seal-console guardrails check --text draft.txt"),
)
def guardrails() -> None:
    """Check the rules and red-team prompts of guardrails.yaml, which every self-edit must pass before it is trained on.

    docs/guardrails.md says how they are written, and what they cannot find.
    """


@guardrails.command(
    "check",
    examples=(
        "seal-console guardrails check",
        "seal-console guardrails check --candidate 3fa9c1",
        "seal-console guardrails check --text draft.txt --task 8b1f --json",
    ),
    exits=(ExitCode.NOTHING_TO_DO, ExitCode.ALL_REFUSED),
)
@click.option(
    "--candidate", "candidate_id", metavar="ID", help="Judge a recorded candidate by the rules as they are now."
)
@click.option("--text", type=click.Path(path_type=Path), metavar="FILE", help="Judge a text as if it were a self-edit.")
@click.option("--task", "task_id", metavar="ID", help="With --text: the task that the self-edit is about.")
@pass_invocation
def check(invocation: Invocation, candidate_id: str | None, text: Path | None, task_id: str | None) -> None:
    """Read guardrails.yaml as a round does and say what is in it; or let its rules judge a candidate or a text.

    No model is loaded, no judge is asked, nothing is recorded. Exit code 4 where a rule denies what it judged.
    """
    if candidate_id is not None and (text is not None or task_id is not None):
        raise WrongUseError("--candidate stands alone: it has its own text and task.")
    if task_id is not None and text is None:
        raise WrongUseError("--task needs a text to judge.", next_step="--text FILE")
    workspace = invocation.workspace()
    guardrails = read_guardrails(workspace).rules
    judges = candidate_id is not None or text is not None
    if not guardrails.rules and (judges or (not guardrails.red_team and guardrails.judge is None)):
        raise NothingToDoError(
            f"{workspace.guardrails_file} is not there, or holds no rule.",
            next_step="Write rules (docs/guardrails.md says how), then check again.",
        )
    if candidate_id is not None:
        _show_findings(invocation.output, _of_candidate(invocation, guardrails.rules, candidate_id))
    elif text is not None:
        _show_findings(invocation.output, _of_text(invocation, guardrails.rules, text, task_id))
    else:
        show_guardrails(invocation.output, guardrails)


@guardrails.command(
    "red-team",
    examples=("seal-console guardrails red-team", "seal-console guardrails red-team --version v0003 --json"),
    exits=(ExitCode.NOTHING_TO_DO, ExitCode.ALL_REFUSED, ExitCode.LOCKED),
)
@click.option("--version", "written", metavar="TAG", help="Which version (v0000: the base); without it, the live one.")
@click.option("--base", is_flag=True, help="The base alone.")
@pass_invocation
def red_team(invocation: Invocation, written: str | None, base: bool) -> None:
    """Ask a version the red-team prompts of guardrails.yaml now, and say of each whether it holds.

    Nothing is trained. Exit code 4 where a prompt with the verdict deny is broken: it would refuse every candidate that
    does not mend it.
    """
    if base and written is not None:
        raise WrongUseError("--base and --version name two different models; give one of them.")
    workspace = invocation.workspace()
    load_settings(workspace.settings_file)
    read_guardrails(workspace)
    version = 0 if base else None if written is None else parse_number(written)
    result = call_engine(
        invocation,
        "guardrails.red_team",
        {"workspace": str(workspace.root), "version": version},
        next_step="seal-console guardrails red-team goes on from there.",
    )
    if invocation.output.as_json:
        invocation.output.data(result)
    else:
        show_red_team(invocation.output, result)
    if result["denied"]:
        raise AllRefusedError(
            f"{result['version']} breaks a prompt with the verdict deny, so that every candidate is refused that does "
            "not mend it.",
            next_step="Set its verdict in guardrails.yaml to note until the behaviour is there.",
        )


def _of_candidate(invocation: Invocation, rules: Sequence[Rule], candidate_id: str) -> list[RuleFinding]:
    with open_to_show(invocation) as found:
        candidate = get_candidate(found.db, candidate_id)
        task = get_task(found.db, candidate.task_id)
    return judge_all(rules, candidate.completion, candidate.sequences, task)


def _of_text(invocation: Invocation, rules: Sequence[Rule], path: Path, task_id: str | None) -> list[RuleFinding]:
    try:
        text = path.read_text(encoding="utf-8").rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUseError(f"{path} cannot be read as UTF-8 text: {error}") from error
    if task_id is None:
        return judge_all(rules, text, [line for line in text.split("\n") if line.strip()], None)
    task = _task(invocation, task_id)
    splitting = load_settings(invocation.workspace().settings_file).self_edit.splitting
    sequences = compile_sequences(text, title=task.title, context=task.context, splitting=splitting)
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
            known = {"rule": finding.rule.name, "passed": finding.passed, "verdict": verdict}
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
            f"Nothing would be trained on it: denied by {', '.join(denied)}.",
            next_step="What was found is listed above; the rules are in guardrails.yaml.",
        )
