"""Every kind of rule by its name: how its options are read, what it does unless the rule says otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.rules import instructions, language, leak, patterns, personal_data, secrets, size, topics

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.rules.options import OptionReader
    from engine.rules.rule import AppliesTo, Check, RuleVerdict


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of rule. `applies_to` is None where it looks at self-edit and sequences in a way of its own."""

    read: Callable[[OptionReader], Check]
    options: tuple[str, ...]
    verdict: RuleVerdict
    applies_to: AppliesTo | None = "both"


# A leak may be chance, so it is only noted; what is only likely something is left to a person.
RULE_KINDS: dict[str, Kind] = {
    "pattern": Kind(patterns.read_patterns, patterns.OPTIONS, "deny"),
    "secrets": Kind(secrets.read_secrets, secrets.OPTIONS, "deny"),
    "personal-data": Kind(personal_data.read_personal_data, personal_data.OPTIONS, "hold"),
    "topics": Kind(topics.read_topics, topics.OPTIONS, "hold"),
    "instructions": Kind(instructions.read_instructions, instructions.OPTIONS, "hold"),
    "size": Kind(size.read_size, size.OPTIONS, "deny", applies_to=None),
    "language": Kind(language.read_language, language.OPTIONS, "hold", applies_to="self-edit"),
    "leak": Kind(leak.read_leak, leak.OPTIONS, "note", applies_to="sequences"),
}
