"""guardrails.yaml from its text: all of its sections, or every problem with its line. Nothing makes anything else of
it.

`SECTIONS` names what the file may hold. Another section is one entry there, with a function that takes a
`SectionReader`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from engine.guardrails.judge_section import read_judge
from engine.guardrails.kinds import RULE_KINDS, RuleKind
from engine.guardrails.options import OptionReader, SectionReader
from engine.guardrails.red_team_section import read_red_team
from engine.guardrails.rule import APPLIES_TO, VERDICTS, Guardrails, Rule
from engine.input_files.located_yaml import YamlProblemError, parse_located_yaml
from engine.tasks.drafts import SourceReader, kind_of
from engine.tasks.sources import TaskSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.input_files.text_files import TextFile

_LONGEST_NAME = 60
_OF_EVERY_RULE = ("rule", "kind", "verdict")


@dataclass(frozen=True, slots=True)
class GuardrailsFile:
    """What a guardrails.yaml holds, by section; a section that is not there is None."""

    sections: dict[str, Any] = field(default_factory=dict)
    text: str = ""

    @property
    def rules(self) -> Guardrails:
        """All sections as a round takes them."""
        found = self.sections
        return Guardrails(
            tuple(found.get("rules") or ()), self.text, tuple(found.get("red_team") or ()), found.get("judge")
        )


def parse_guardrails(file: TextFile) -> tuple[GuardrailsFile, list[str]]:
    """Return what a file holds, and everything that is wrong with it; with problems it is not to be used."""
    try:
        located = parse_located_yaml(file.text)
    except YamlProblemError as error:
        place = file.name if error.line is None else f"{file.name}:{error.line}"
        return GuardrailsFile(), [f"{place}: {error.message}"]
    reader = SourceReader(TaskSource(file.name, located.data, located.lines))
    values, written = located.data, located.written
    if values is None:
        return GuardrailsFile({}, file.text), []
    if not isinstance(values, dict) or not isinstance(written, dict):
        reader.report((), f"must be sections, such as rules: (is {kind_of(values)})")
        return GuardrailsFile(), reader.problems
    reader.unknown_keys(written, tuple(SECTIONS), ())
    sections = {
        name: read(SectionReader(reader, values[name], written[name], (name,)))
        for name, read in SECTIONS.items()
        if values.get(name) is not None
    }
    return GuardrailsFile(sections, file.text), reader.problems


def _read_rules(section: SectionReader) -> tuple[Rule, ...]:
    if not isinstance(section.values, list):
        section.reader.report(section.path, f"rules must be a list (is {kind_of(section.values)})")
        return ()
    rules: list[Rule] = []
    places: dict[str, str] = {}
    for index, (values, written) in enumerate(zip(section.values, section.written, strict=True)):
        path = (*section.path, index)
        if not isinstance(values, dict):
            section.reader.report(path, f"a rule must have the keys rule and kind (is {kind_of(values)})")
            continue
        options = OptionReader(section.reader, values, written, path)
        name, rule = _name(options), _rule(options)
        earlier = places.setdefault(name.casefold(), section.reader.source.place(path))
        if name and earlier != section.reader.source.place(path):
            options.report(f"the rule is named '{name}', as that of {earlier} is", "rule")
        rules += [rule] if rule else []
    return tuple(rules)


SECTIONS: dict[str, Callable[[SectionReader], Any]] = {
    "rules": _read_rules,
    "red_team": read_red_team,
    "judge": read_judge,
}


def _name(options: OptionReader) -> str:
    if "rule" not in options.written:
        options.report("rule missing: the rule's own name")
        return ""
    name = options.text("rule", "")
    if isinstance(options.written["rule"], str) and not name.strip():
        options.report("the rule's name is empty", "rule")
    if len(name) > _LONGEST_NAME or not name.isprintable():
        options.report(f"the rule's name must be a line of at most {_LONGEST_NAME} characters", "rule")
    return name


def _rule(options: OptionReader) -> Rule | None:
    """Return a rule, with problems noted; None where its kind is not known, so that its options cannot be read."""
    kind_name = options.text("kind", "")
    kind = RULE_KINDS.get(kind_name)
    if kind is None:
        _report_kind(options, kind_name)
        return None
    keys = (*_OF_EVERY_RULE, *(("applies_to",) if kind.applies_to else ()), *kind.options)
    options.reader.unknown_keys(options.written, keys, options.path)
    check = kind.read(options)
    return Rule(
        name=options.text("rule", ""),
        kind=kind_name,
        verdict=options.name("verdict", VERDICTS, kind.verdict),
        applies_to=_applies_to(options, kind),
        check=check,
        options=asdict(check),  # type: ignore[call-overload]
        place=options.reader.source.place(options.path),
    )


def _applies_to(options: OptionReader, kind: RuleKind) -> Any:
    return "both" if kind.applies_to is None else options.name("applies_to", APPLIES_TO, kind.applies_to)


def _report_kind(options: OptionReader, given: str) -> None:
    if "kind" not in options.written:
        options.report(f"kind missing; known are {', '.join(RULE_KINDS)}")
    elif given:
        nearest = get_close_matches(given, RULE_KINDS, n=1, cutoff=0.5)
        hint = f"did you mean '{nearest[0]}'?" if nearest else f"known are {', '.join(RULE_KINDS)}"
        options.report(f"there is no kind {given!r}; {hint}", "kind")
