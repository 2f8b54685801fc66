"""Reads a workspace's policy.yaml, or that of a round that has begun: all of it, or none and every problem listed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
    return policy_from(file)


def policy_from(file: TextFile) -> PolicyFile:
    """Make a policy of a file's text; raises WrongUseError that lists every problem."""
    policy, problems = parse_policy(file)
    if problems:
        raise _refusal(problems)
    return policy


def as_recorded(rules: Rules) -> dict[str, str]:
    """Return what a round keeps of its rules: their hash, and the file's text."""
    return {"hash": rules.hash, "text": rules.text}


def rules_of_round(current: Round, now: Rules) -> Rules:
    """Return the rules that a round began with; those of `now` where it began before there were any rules to keep."""
    kept: dict[str, Any] | None = current.settings.get(ROUND_KEY)
    if kept is None:
        return now
    name = f"policy.yaml of round {current.number}"
    return policy_from(TextFile(name, kept["text"], hash_text(kept["text"]))).rules


def _refusal(problems: list[str]) -> WrongUseError:
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return WrongUseError(
        f"No rule was read: {count} in policy.yaml",
        problems=problems,
        next_step="Correct the file, then look with 'seal-console policy check'.",
    )
