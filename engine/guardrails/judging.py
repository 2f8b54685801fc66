"""Applies rules to a self-edit: pure functions of the rule, the texts and the task.

Evidence is bounded: the first matches are kept in full, the rest are only counted.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from engine.guardrails.rule import AppliesTo, CheckInput, Match, Rule, RuleFinding, RuleVerdict, TextPart
from store.audit_redaction import AUDIT_KEY
from store.records import GateResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from store.records import OnFailure, Task

RULE_GATE = "rule:"
MOST_MATCHES_KEPT = 20
ON_FAILURE: dict[RuleVerdict, OnFailure | None] = {"deny": None, "review": "hold", "note": "note"}


@dataclass(frozen=True, slots=True)
class RuleMatch:
    """One match as it is recorded. `in_document` is None if the rule does not look there; `audit` marks exam text."""

    where: str
    line: int | None
    what: str
    text: str
    in_document: bool | None = None
    audit: bool | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON can carry it; what does not apply is left out."""
        row = {key: value for key, value in asdict(self).items() if key == "line" or value is not None}
        return {AUDIT_KEY if key == "audit" else key: value for key, value in row.items()}


@dataclass(frozen=True, slots=True)
class RuleEvidence:
    """What a rule found in a self-edit: `found` matches, the first of them in full, and the figures it measured."""

    kind: str
    if_found: str
    applies_to: str
    found: int
    matches: tuple[RuleMatch, ...]
    measured: dict[str, float | int | str | None]

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON can carry it."""
        return {**asdict(self), "matches": [match.as_json() for match in self.matches]}

    def describe(self) -> list[str]:
        """Return the figures, then one line for each match."""
        found = f"found {self.found}" if self.found else "nothing found"
        figures = [f"{name.replace('_', ' ')} {value}" for name, value in self.measured.items()]
        lines = [", ".join([f"{self.kind}: {found}", *figures])]
        for match in self.matches:
            line = "" if match.line is None else f", line {match.line}"
            origin = {True: " (also in the context)", False: " (not in the context)", None: ""}[match.in_document]
            lines.append(f"• {match.where}{line}: {match.what}: {match.text}{origin}")
        hidden = self.found - len(self.matches)
        return [*lines, f"… and {hidden:,} more"] if hidden > 0 else lines


def judge(rule: Rule, self_edit: str, sequences: Sequence[str], task: Task | None) -> RuleFinding:
    """Apply a rule to a self-edit and to the training sequences that it was compiled to."""
    parts = tuple(_parts(rule.applies_to, self_edit, sequences))
    report = rule.check.find(CheckInput(parts, self_edit, tuple(sequences), task))
    matches = _each_once(report.matches)
    kept = tuple(
        RuleMatch(one.where, one.line, one.what, one.text, one.in_document, one.of_audit or None)
        for one in matches[:MOST_MATCHES_KEPT]
    )
    evidence = RuleEvidence(rule.kind, rule.verdict, rule.applies_to, len(matches), kept, report.measured)
    return RuleFinding(rule, not matches, evidence.as_json())


def judge_all(rules: Iterable[Rule], self_edit: str, sequences: Sequence[str], task: Task | None) -> list[RuleFinding]:
    """Apply all rules, in their order."""
    return [judge(rule, self_edit, sequences, task) for rule in rules]


def rule_verdict(finding: RuleFinding, candidate_id: str, now: str) -> GateResult:
    """Return a finding as the verdict that is recorded."""
    rule = finding.rule
    on_failure = ON_FAILURE[rule.verdict]
    return GateResult(candidate_id, f"{RULE_GATE}{rule.name}", finding.passed, finding.evidence, now, on_failure)


def _parts(applies_to: AppliesTo, self_edit: str, sequences: Sequence[str]) -> Iterable[TextPart]:
    if applies_to != "sequences":
        yield TextPart("self-edit", self_edit)
    if applies_to != "self-edit":
        yield from (TextPart(f"sequence {number}", text) for number, text in enumerate(sequences, 1))


def _each_once(matches: Sequence[Match]) -> list[Match]:
    """Drop what was found before in another part: each line of a self-edit is a sequence, too."""
    first: dict[tuple[str, str], str] = {}
    return [
        match
        for match in matches
        if first.setdefault((match.what, match.same_as or match.text), match.where) == match.where
    ]
