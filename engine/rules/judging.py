"""Verdicts of rules on a self-edit: pure functions of the rule, the texts and the task.

Evidence is bounded: the first matches in full, of the rest only their number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.rules.gate_name import RULE_GATE
from engine.rules.rule import AppliesTo, Finding, LookedAt, Match, Part, Rule
from store.exam_secrecy import AUDIT_KEY
from store.records import GateResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from store.records import OnFailure, Task


MOST_MATCHES_KEPT = 20
_ON_FAILURE: dict[str, OnFailure | None] = {"deny": None, "hold": "hold", "note": "note"}


def judge(rule: Rule, self_edit: str, sequences: Sequence[str], task: Task | None) -> Finding:
    """Return what a rule says of a self-edit and of the training sequences that it was compiled to."""
    parts = tuple(_parts(rule.applies_to, self_edit, sequences))
    found = rule.check.find(LookedAt(parts, self_edit, tuple(sequences), task))
    matches = _each_once(found.matches)
    evidence: dict[str, Any] = {
        "kind": rule.kind,
        "if_found": rule.verdict,
        "applies_to": rule.applies_to,
        "found": len(matches),
        "matches": [_as_plain(match) for match in matches[:MOST_MATCHES_KEPT]],
        "measured": found.measured,
    }
    return Finding(rule, not matches, evidence)


def judge_all(rules: Iterable[Rule], self_edit: str, sequences: Sequence[str], task: Task | None) -> list[Finding]:
    """Return the findings of all rules, in their order."""
    return [judge(rule, self_edit, sequences, task) for rule in rules]


def gate_of(finding: Finding, candidate_id: str, now: str) -> GateResult:
    """Return a finding as it is recorded."""
    rule = finding.rule
    name, on_failure = f"{RULE_GATE}{rule.name}", _ON_FAILURE[rule.verdict]
    return GateResult(candidate_id, name, finding.passed, finding.evidence, now, on_failure)


def _parts(applies_to: AppliesTo, self_edit: str, sequences: Sequence[str]) -> Iterable[Part]:
    if applies_to != "sequences":
        yield Part("self-edit", self_edit)
    if applies_to != "self-edit":
        yield from (Part(f"sequence {number}", text) for number, text in enumerate(sequences, 1))


def _each_once(matches: Sequence[Match]) -> list[Match]:
    """Leave out what was found before in another part: each line of a self-edit is a sequence, too."""
    first: dict[tuple[str, str], str] = {}
    return [
        match
        for match in matches
        if first.setdefault((match.what, match.same_as or match.text), match.where) == match.where
    ]


def _as_plain(match: Match) -> dict[str, Any]:
    plain: dict[str, Any] = {"where": match.where, "line": match.line, "what": match.what, "text": match.text}
    plain |= {AUDIT_KEY: True} if match.of_audit else {}
    return plain if match.in_document is None else {**plain, "in_document": match.in_document}
