"""Reads guardrails.yaml, or the one a round began with: the whole file, or an error that lists every problem."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.guardrails.judge_section import constitution_problem
from engine.guardrails.rule_files import GuardrailsFile, parse_guardrails
from engine.input_files.text_files import TextFile, UnreadableFileError, read_text_file
from store.errors import WrongUseError
from store.hashing import hash_text
from store.workspace import FORMER_GUARDRAILS_NAMES

if TYPE_CHECKING:
    from engine.guardrails.rule import Guardrails
    from store.records import Round
    from store.workspace import Workspace

# Under this key a round's settings hold the rules that it began with.
ROUND_KEY = "guardrails"
_ROUND_KEY_BEFORE_0_2 = "policy_rules"


def read_guardrails(workspace: Workspace) -> GuardrailsFile:
    """Read guardrails.yaml; without the file there is no rule. Raises WrongUseError that lists every problem.

    A file that is misnamed, or a link that leads nowhere, is a problem: rules must not be missing without a word.
    """
    expected = workspace.guardrails_file
    for misnamed in (expected.with_suffix(".yml"), *(workspace.root / name for name in FORMER_GUARDRAILS_NAMES)):
        if misnamed.exists():
            raise _refusal([f"{misnamed.name}: rules are read from {expected.name}; rename it"])
    if not workspace.guardrails_file.exists() and not workspace.guardrails_file.is_symlink():
        return GuardrailsFile()
    try:
        file = read_text_file(workspace.guardrails_file, workspace.root)
    except UnreadableFileError as error:
        raise _refusal([str(error)]) from error
    guardrails = guardrails_from(file)
    judge = guardrails.rules.judge
    if judge is None or not judge.constitution_file:
        return guardrails
    return _with_constitution(guardrails, _read_constitution(workspace, judge.constitution_file))


def guardrails_from(file: TextFile) -> GuardrailsFile:
    """Make a guardrails of a file's text; raises WrongUseError that lists every problem."""
    guardrails, problems = parse_guardrails(file)
    if problems:
        raise _refusal(problems)
    return guardrails


def as_recorded(rules: Guardrails) -> dict[str, str]:
    """Return what a round keeps of its rules: their hash, the file's text, and a constitution that is elsewhere."""
    kept = {"hash": rules.hash, "text": rules.text}
    if rules.judge is None or not rules.judge.constitution_file:
        return kept
    return {**kept, "constitution": rules.judge.constitution}


def rules_of_round(current: Round, now: Guardrails) -> Guardrails:
    """Return the rules that a round began with; those of `now` where it began before there were any rules to keep.

    How its judge is reached (address, key, time limits) is as it is now.
    """
    kept: dict[str, Any] | None = current.settings.get(ROUND_KEY) or current.settings.get(_ROUND_KEY_BEFORE_0_2)
    if kept is None:
        return now
    name = f"guardrails.yaml of round {current.number}"
    guardrails = guardrails_from(TextFile(name, kept["text"], hash_text(kept["text"])))
    rules = (_with_constitution(guardrails, kept["constitution"]) if "constitution" in kept else guardrails).rules
    if rules.judge is None or now.judge is None:
        return rules
    # A round that stopped because its judge could not be reached must be able to go on once the address is corrected.
    return replace(rules, judge=rules.judge.reached_as(now.judge))


def _with_constitution(guardrails: GuardrailsFile, text: str) -> GuardrailsFile:
    judge = replace(guardrails.sections["judge"], constitution=text)
    return replace(guardrails, sections={**guardrails.sections, "judge": judge})


def _read_constitution(workspace: Workspace, name: str) -> str:
    """Read a constitution from a file of the workspace; tasks/ is barred, since it holds the audit's questions."""
    place = f"guardrails.yaml: the constitution's file {name!r}"
    try:
        path = (workspace.root / name).resolve()
        if not path.is_relative_to(workspace.root.resolve()):
            raise _refusal([f"{place} is not below the workspace"])
        if path.is_relative_to(workspace.tasks_folder.resolve()):
            raise _refusal([f"{place} is in tasks/, whose questions no judge may see"])
        text = read_text_file(path, workspace.root).text
    except (UnreadableFileError, OSError, ValueError, RuntimeError) as error:
        raise _refusal([f"{place}: {error}"]) from error
    problem = constitution_problem(text)
    if problem:
        raise _refusal([f"{name}: {problem}"])
    return text


def _refusal(problems: list[str]) -> WrongUseError:
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return WrongUseError(
        f"No rule was read: {count} in guardrails.yaml",
        problems=problems,
        next_step="Correct the file, then look with 'seal-console guardrails check'.",
    )
