"""Judges proposed candidates before anything is trained on them, and records those that a rule denies.

What a denied candidate is refused for stands in its gates: it has no inner update, no answer and no reward. The
verdicts on all others go into the record of their exam.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.gates.names import RULE_GATE
from engine.guardrails.rule import AppliesTo, CheckInput, Match, Rule, RuleFinding, TextPart
from store.audit_redaction import AUDIT_KEY
from store.candidates import get_candidate, record_examined
from store.clock import utc_now
from store.records import GateResult

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

    from sqlite_utils import Database

    from engine.guardrails.rule import Guardrails
    from store.records import Candidate, OnFailure, Task


@dataclass(frozen=True, slots=True)
class ScreeningResult:
    """Candidates as they stand after the rules have spoken, and the verdicts on those that may be trained."""

    candidates: list[Candidate]
    verdicts: dict[str, list[GateResult]]


def judge_candidates(
    db: Database,
    rules: Guardrails,
    candidates: Sequence[Candidate],
    tasks: Sequence[Task],
    ask: Callable[[Sequence[tuple[Candidate, Task]]], Generator[list[GateResult], None, None]],
) -> ScreeningResult:
    """Judge every candidate that is still only proposed; one that is denied is recorded as refused.

    `ask` gives further verdicts on what no rule denies, in the order of what it is given; each is recorded before the
    next is asked for.
    """
    of_task = {task.id: task for task in tasks}
    current = [get_candidate(db, candidate.id) for candidate in candidates]
    verdicts = {one.id: verdicts_on(rules, one, of_task[one.task_id]) for one in current if one.state == "proposed"}
    left = [(one, of_task[one.task_id]) for one in current if one.id in verdicts and not _denied(verdicts[one.id])]
    after: list[Candidate] = []
    with closing(ask(left)) as answers:
        asked = {one.id for one, _ in left}
        for now in current:
            if now.id in asked:
                verdicts[now.id] += next(answers)
            if _denied(verdicts.get(now.id, ())):
                after.append(_refuse(db, now, verdicts.pop(now.id)))
            else:
                after.append(now)
    return ScreeningResult(after, verdicts)


def _denied(gates: Sequence[GateResult]) -> bool:
    return any(gate.stops for gate in gates)


def verdicts_on(rules: Guardrails, candidate: Candidate, task: Task) -> list[GateResult]:
    """Return every rule's verdict on a candidate."""
    findings = judge_all(rules.rules, candidate.completion, candidate.sequences, task)
    return [gate_of(finding, candidate.id, utc_now()) for finding in findings]


def _refuse(db: Database, candidate: Candidate, gates: Sequence[GateResult]) -> Candidate:
    return record_examined(
        db,
        candidate.id,
        updates=[],
        answers=[],
        gates=gates,
        reward_mean=None,
        reward_std=None,
        audit_gain=None,
        adapter_hash=None,
    )


MOST_MATCHES_KEPT = 20
_ON_FAILURE: dict[str, OnFailure | None] = {"deny": None, "review": "hold", "note": "note"}


def judge(rule: Rule, self_edit: str, sequences: Sequence[str], task: Task | None) -> RuleFinding:
    """Return what a rule says of a self-edit and of the training sequences that it was compiled to."""
    parts = tuple(_parts(rule.applies_to, self_edit, sequences))
    found = rule.check.find(CheckInput(parts, self_edit, tuple(sequences), task))
    matches = _each_once(found.matches)
    evidence: dict[str, Any] = {
        "kind": rule.kind,
        "if_found": rule.verdict,
        "applies_to": rule.applies_to,
        "found": len(matches),
        "matches": [_as_plain(match) for match in matches[:MOST_MATCHES_KEPT]],
        "measured": found.measured,
    }
    return RuleFinding(rule, not matches, evidence)


def judge_all(rules: Iterable[Rule], self_edit: str, sequences: Sequence[str], task: Task | None) -> list[RuleFinding]:
    """Return the findings of all rules, in their order."""
    return [judge(rule, self_edit, sequences, task) for rule in rules]


def gate_of(finding: RuleFinding, candidate_id: str, now: str) -> GateResult:
    """Return a finding as it is recorded."""
    rule = finding.rule
    name, on_failure = f"{RULE_GATE}{rule.name}", _ON_FAILURE[rule.verdict]
    return GateResult(candidate_id, name, finding.passed, finding.evidence, now, on_failure)


def _parts(applies_to: AppliesTo, self_edit: str, sequences: Sequence[str]) -> Iterable[TextPart]:
    if applies_to != "sequences":
        yield TextPart("self-edit", self_edit)
    if applies_to != "self-edit":
        yield from (TextPart(f"sequence {number}", text) for number, text in enumerate(sequences, 1))


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
