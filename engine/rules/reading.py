"""Reads a workspace's policy.yaml, or that of a round that has begun: all of it, or none and every problem listed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.rules.judge_section import constitution_problem
from engine.rules.rule_files import PolicyFile, parse_policy
from engine.tasks.text_files import TextFile, UnreadableFileError, read_text_file
from store.errors import WrongUseError
from store.hashing import hash_text

if TYPE_CHECKING:
    from engine.rules.rule import Rules
    from store.records import Round
    from store.workspace import Workspace

# Under this key a round's settings hold the rules that it began with.
ROUND_KEY = "policy_rules"


def read_policy(workspace: Workspace) -> PolicyFile:
    """Read policy.yaml; without the file there is no rule. Raises WrongUseError that lists every problem.

    A file that is misnamed, or a link that leads nowhere, is a problem: rules must not be missing without a word.
    """
    misnamed = workspace.policy_file.with_suffix(".yml")
    if misnamed.exists():
        raise _refusal([f"{misnamed.name}: rules are read from {workspace.policy_file.name}; rename it"])
    if not workspace.policy_file.exists() and not workspace.policy_file.is_symlink():
        return PolicyFile()
    try:
        file = read_text_file(workspace.policy_file, workspace.root)
    except UnreadableFileError as error:
        raise _refusal([str(error)]) from error
    policy = policy_from(file)
    judge = policy.rules.judge
    if judge is None or not judge.constitution_file:
        return policy
    return _with_constitution(policy, _read_constitution(workspace, judge.constitution_file))


def policy_from(file: TextFile) -> PolicyFile:
    """Make a policy of a file's text; raises WrongUseError that lists every problem."""
    policy, problems = parse_policy(file)
    if problems:
        raise _refusal(problems)
    return policy


def as_recorded(rules: Rules) -> dict[str, str]:
    """Return what a round keeps of its rules: their hash, the file's text, and a constitution that is elsewhere."""
    kept = {"hash": rules.hash, "text": rules.text}
    if rules.judge is None or not rules.judge.constitution_file:
        return kept
    return {**kept, "constitution": rules.judge.constitution}


def rules_of_round(current: Round, now: Rules) -> Rules:
    """Return the rules that a round began with; those of `now` where it began before there were any rules to keep.

    How its judge is reached (address, key, time limits) is as it is now.
    """
    kept: dict[str, Any] | None = current.settings.get(ROUND_KEY)
    if kept is None:
        return now
    name = f"policy.yaml of round {current.number}"
    policy = policy_from(TextFile(name, kept["text"], hash_text(kept["text"])))
    rules = (_with_constitution(policy, kept["constitution"]) if "constitution" in kept else policy).rules
    if rules.judge is None or now.judge is None:
        return rules
    # A round that stopped because its judge could not be reached must be able to go on once the address is corrected.
    return replace(rules, judge=rules.judge.reached_as(now.judge))


def _with_constitution(policy: PolicyFile, text: str) -> PolicyFile:
    judge = replace(policy.sections["judge"], constitution=text)
    return replace(policy, sections={**policy.sections, "judge": judge})


def _read_constitution(workspace: Workspace, name: str) -> str:
    """Read a constitution from a file of the workspace; tasks/ is barred, since it holds the audit's questions."""
    place = f"policy.yaml: the constitution's file {name!r}"
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
        f"No rule was read: {count} in policy.yaml",
        problems=problems,
        next_step="Correct the file, then look with 'seal-console policy check'.",
    )
