"""Reads guardrails.yaml, or the guardrails that a round began with: the whole file, or an error with every problem."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine.guardrails.judge_section import constitution_problem, read_judge
from engine.guardrails.kinds import read_rules
from engine.guardrails.red_team import read_red_team
from engine.guardrails.rule import Rule, hashed_verdict
from engine.input_files.input_model import InputModel
from engine.input_files.located_yaml import YamlProblemError, parse_located_yaml
from engine.input_files.text_files import TextFile, UnreadableFileError, read_text_file
from engine.input_files.validation import InputReader, in_file_order, located_data, yaml_problem
from store.errors import WrongUseError
from store.hashing import hash_json, hash_text
from store.wording import counted
from store.workspace import FORMER_GUARDRAILS_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.guardrails.judge_section import JudgeSettings
    from engine.guardrails.red_team import RedTeamPrompt
    from store.records import Round
    from store.workspace import Workspace

# A round's settings hold the guardrails that it began with under this key.
ROUND_KEY = "guardrails"
_ROUND_KEY_BEFORE_0_2 = "policy_rules"


class GuardrailsInput(InputModel):
    """The sections of guardrails.yaml; each may be missing or empty."""

    rules: object = None
    red_team: object = None
    judge: object = None


@dataclass(frozen=True, slots=True)
class Guardrails:
    """The content of a guardrails.yaml, and its text; everything is empty if there is no such file."""

    rules: tuple[Rule, ...] = ()
    text: str = ""
    red_team: tuple[RedTeamPrompt, ...] = ()
    judge: JudgeSettings | None = None

    @property
    def hash(self) -> str:
        """The hash of what the file says, without places, comments and spaces."""
        rules = [
            [rule.name, rule.kind, hashed_verdict(rule.verdict), rule.applies_to, rule.options] for rule in self.rules
        ]
        if not self.red_team and self.judge is None:
            return hash_json(rules)
        prompts = [prompt.as_hashed() for prompt in self.red_team]
        return hash_json([rules, prompts, None if self.judge is None else self.judge.as_hashed()])

    @property
    def are_empty(self) -> bool:
        """Whether nothing is in the file."""
        return not self.rules and not self.red_team and self.judge is None

    @property
    def bear_on_training(self) -> bool:
        """Whether anything here can keep a self-edit from being trained on."""
        return bool(self.rules) or self.judge is not None


def read_guardrails(workspace: Workspace) -> Guardrails:
    """Read guardrails.yaml; without the file there are no rules. Raises WrongUseError that lists every problem.

    A misnamed file, or a link that leads nowhere, is a problem: rules must not go missing silently.
    """
    expected = workspace.guardrails_file
    for misnamed in (expected.with_suffix(".yml"), *(workspace.root / name for name in FORMER_GUARDRAILS_NAMES)):
        if misnamed.exists():
            raise _refusal([f"{misnamed.name}: rules are read from {expected.name}; rename it"])
    if not expected.exists() and not expected.is_symlink():
        return Guardrails()
    try:
        file = read_text_file(expected, workspace.root)
    except UnreadableFileError as error:
        raise _refusal([str(error)]) from error
    return _guardrails_from(file, lambda name: _read_constitution(workspace, name))


def as_recorded(rules: Guardrails) -> dict[str, str]:
    """Return what a round keeps of its guardrails: their hash, the file's text, and a constitution in another file."""
    kept = {"hash": rules.hash, "text": rules.text}
    if rules.judge is None or not rules.judge.constitution_file:
        return kept
    return {**kept, "constitution": rules.judge.constitution}


def rules_of_round(current: Round, now: Guardrails) -> Guardrails:
    """Return the guardrails that a round began with, or `now` if it began before rounds kept them.

    How its judge is reached (address, key, time limits) is as it is now.
    """
    kept: dict[str, Any] | None = current.settings.get(ROUND_KEY) or current.settings.get(_ROUND_KEY_BEFORE_0_2)
    if kept is None:
        return now
    name = f"guardrails.yaml of round {current.number}"
    rules = _guardrails_from(TextFile(name, kept["text"], hash_text(kept["text"])))
    judge = rules.judge
    if judge is None:
        return rules
    judge = replace(judge, constitution=kept.get("constitution", judge.constitution))
    # A round that stopped because its judge was unreachable must be able to resume once the address is corrected.
    return replace(rules, judge=judge if now.judge is None else judge.reached_as(now.judge))


def parse_guardrails(
    file: TextFile, read_constitution: Callable[[str], str] | None = None
) -> tuple[Guardrails, list[str]]:
    """Return what a file contains, and everything that is wrong with it; with problems it must not be used.

    Without `read_constitution`, a constitution in another file is left empty.
    """
    try:
        located = parse_located_yaml(file.text)
    except YamlProblemError as error:
        return Guardrails(), [yaml_problem(file.name, error)]
    reader = InputReader(located_data(file.name, located))
    sections = reader.read_what_is_valid(GuardrailsInput, {} if located.data is None else located.written)
    if sections is None:
        return Guardrails(), reader.problems
    rules = () if sections.rules is None else read_rules(reader, sections.rules)
    red_team = () if sections.red_team is None else read_red_team(reader, sections.red_team)
    judge = None if sections.judge is None else read_judge(reader, sections.judge, read_constitution)
    return Guardrails(rules, file.text, red_team, judge), in_file_order(reader.problems)


def _guardrails_from(file: TextFile, read_constitution: Callable[[str], str] | None = None) -> Guardrails:
    guardrails, problems = parse_guardrails(file, read_constitution)
    if problems:
        raise _refusal(problems)
    return guardrails


def _read_constitution(workspace: Workspace, name: str) -> str:
    """Read a constitution from a file of the workspace, but not from tasks/, which holds the audit's questions.

    Raises ValueError that says what is wrong.
    """
    try:
        path = (workspace.root / name).resolve()
        if not path.is_relative_to(workspace.root.resolve()):
            raise ValueError(f"{name!r} is not in the workspace")
        if path.is_relative_to(workspace.tasks_folder.resolve()):
            raise ValueError(f"{name!r} is in tasks/, whose questions no judge may see")
        text = read_text_file(path, workspace.root).text
    except (UnreadableFileError, OSError, RuntimeError) as error:
        raise ValueError(str(error)) from error
    problem = constitution_problem(text)
    if problem:
        raise ValueError(f"{name}: {problem}")
    return text


def _refusal(problems: list[str]) -> WrongUseError:
    return WrongUseError(
        f"No rules loaded: {counted(len(problems), 'problem')} in guardrails.yaml",
        problems=problems,
        next_step="Correct the file, then check it with 'seal-console guardrails check'.",
    )
