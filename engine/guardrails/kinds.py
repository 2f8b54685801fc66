"""Every kind of rule by its name: how its options are read, what it does unless the rule says otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from engine.guardrails import instructions, language, leak, patterns, personal_data, secrets, size, topics

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.guardrails.options import OptionReader
    from engine.guardrails.rule import AppliesTo, Check, RuleVerdict


@dataclass(frozen=True, slots=True)
class RuleKind:
    """A kind of rule. `applies_to` is None where it looks at self-edit and sequences in a way of its own."""

    read: Callable[[OptionReader], Check]
    options: tuple[str, ...]
    verdict: RuleVerdict
    applies_to: AppliesTo | None = "both"


# A leak may be chance, so it is only noted; what is only likely something is left to a person.
RULE_KINDS: dict[str, RuleKind] = {
    "pattern": RuleKind(patterns.read_patterns, patterns.OPTIONS, "deny"),
    "secrets": RuleKind(secrets.read_secrets, secrets.OPTIONS, "deny"),
    "personal-data": RuleKind(personal_data.read_personal_data, personal_data.OPTIONS, "hold"),
    "topics": RuleKind(topics.read_topics, topics.OPTIONS, "hold"),
    "instructions": RuleKind(instructions.read_instructions, instructions.OPTIONS, "hold"),
    "size": RuleKind(size.read_size, size.OPTIONS, "deny", applies_to=None),
    "language": RuleKind(language.read_language, language.OPTIONS, "hold", applies_to="self-edit"),
    "leak": RuleKind(leak.read_leak, leak.OPTIONS, "note", applies_to="sequences"),
}


def default_guardrails_text() -> str:
    """Return the commented text of a guardrails.yaml with rules that suit most workspaces."""
    return resources.files("engine.guardrails").joinpath("default_guardrails.yaml").read_text(encoding="utf-8")
