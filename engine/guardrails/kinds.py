"""Every kind of rule by its name, with its default verdict, and how a rule of guardrails.yaml is read."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

from engine.guardrails.instructions import InstructionCheck
from engine.guardrails.language import LanguageCheck
from engine.guardrails.leak import LeakCheck
from engine.guardrails.patterns import PatternCheck, TopicCheck
from engine.guardrails.personal_data import PersonalDataCheck
from engine.guardrails.rule import AppliesTo, Rule, VerdictInput
from engine.guardrails.secrets import SecretCheck
from engine.guardrails.size import SizeCheck
from engine.input_files.input_model import FilledText, InputModel, keys_of, short_line
from store.wording import suggestion

if TYPE_CHECKING:
    from engine.guardrails.rule import Check, RuleVerdict
    from engine.input_files.located_yaml import Path
    from engine.input_files.validation import InputReader

_LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class RuleKind:
    """A kind of rule; `applies_to` is None if its rules cannot choose what they look at."""

    check: type[Check]
    verdict: RuleVerdict
    applies_to: AppliesTo | None = "both"

    @property
    def options(self) -> tuple[str, ...]:
        """The keys that only rules of this kind have."""
        return keys_of(self.check)


# A leak may be chance, so it is only noted; what is only probably a problem is left to a person.
RULE_KINDS: dict[str, RuleKind] = {
    "pattern": RuleKind(PatternCheck, "deny"),
    "secrets": RuleKind(SecretCheck, "deny"),
    "personal-data": RuleKind(PersonalDataCheck, "review"),
    "topics": RuleKind(TopicCheck, "review"),
    "instructions": RuleKind(InstructionCheck, "review"),
    "size": RuleKind(SizeCheck, "deny", applies_to=None),
    "language": RuleKind(LanguageCheck, "review", applies_to="self-edit"),
    "leak": RuleKind(LeakCheck, "note", applies_to="sequences"),
}


def _known_kind(name: str) -> str:
    if name not in RULE_KINDS:
        raise ValueError(f"unknown kind {name!r}; {suggestion(name, RULE_KINDS)}")
    return name


class RuleInput(InputModel):
    """The keys that rules of all kinds have."""

    rule: Annotated[FilledText, short_line(_LONGEST_NAME)]
    kind: Annotated[FilledText, AfterValidator(_known_kind)]
    verdict: VerdictInput | None = None
    applies_to: AppliesTo | None = None


def read_rules(reader: InputReader, section: object) -> tuple[Rule, ...]:
    """Return the valid rules of the section `rules`; problems are noted in the reader."""
    path: Path = ("rules",)
    entries = reader.entries(section, path)
    rules = [_read_rule(reader, entry, (*path, index)) for index, entry in enumerate(entries)]
    reader.repeated_names(entries, "rule", path)
    return tuple(rule for rule in rules if rule is not None)


def _read_rule(reader: InputReader, entry: object, path: Path) -> Rule | None:
    if not isinstance(entry, dict):
        reader.read(RuleInput, entry, path)
        return None
    kind = RULE_KINDS.get(str(entry.get("kind")))
    keys = [key for key in keys_of(RuleInput) if key != "applies_to" or kind is None or kind.applies_to]
    found = reader.read(RuleInput, {key: entry[key] for key in entry if key in keys}, path)
    if kind is None:
        return None
    options = {key: entry[key] for key in entry if key not in keys}
    check = reader.read(kind.check, options, path, more_keys=keys)
    if found is None or check is None:
        return None
    return Rule(
        name=found.rule,
        kind=found.kind,
        verdict=found.verdict or kind.verdict,
        applies_to=found.applies_to or kind.applies_to or "both",
        check=check,
        options=check.model_dump(),
        place=reader.source.place(path),
    )


def default_guardrails_text() -> str:
    """Return the commented text of a guardrails.yaml with rules that suit most workspaces."""
    return resources.files("engine.guardrails").joinpath("default_guardrails.yaml").read_text(encoding="utf-8")
