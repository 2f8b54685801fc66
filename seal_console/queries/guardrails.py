"""How many self-edits the rules, red-team prompts and judge of guardrails.yaml stopped in the newest round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.gates.names import is_guardrail_gate
from store.records import GateResult
from store.rows import select

if TYPE_CHECKING:
    from sqlite_utils import Database

# A round that has just started has no verdicts yet: then the previous round has the newest.
_ROUNDS_BACK = 2


@dataclass(frozen=True, slots=True)
class GuardrailFigures:
    """Self-edits of a round by the gravest verdict on each; `judged` are all that guardrails.yaml had a gate for."""

    round_number: int
    judged: int
    denied: int
    needs_review: int
    noted: int

    def __str__(self) -> str:
        return f"{self.denied:,} denied, {self.needs_review:,} to review, {self.noted:,} noted of {self.judged:,}"


def guardrail_figures(db: Database) -> GuardrailFigures | None:
    """Return the figures of the newest round that has any; None if recent rounds had no guardrails.yaml."""
    rounds = db.execute("SELECT number FROM rounds WHERE imported = 0 ORDER BY number DESC LIMIT ?", (_ROUNDS_BACK,))
    found = (_figures(db, int(number)) for (number,) in rounds.fetchall())
    return next((one for one in found if one is not None), None)


def _figures(db: Database, round_number: int) -> GuardrailFigures | None:
    gates: dict[str, list[GateResult]] = {}
    sql = (
        "SELECT candidate_id, gate, passed, '{}' AS evidence, decided_at, on_failure "
        "FROM candidates JOIN gates ON gates.candidate_id = candidates.id WHERE round_number = ?"
    )
    for gate in select(db, GateResult, sql, (round_number,)):
        if is_guardrail_gate(gate.gate):
            gates.setdefault(gate.candidate_id, []).append(gate)
    if not gates:
        return None
    gravest = [_gravest(of_candidate) for of_candidate in gates.values()]
    counts = {verdict: gravest.count(verdict) for verdict in ("denied", "needs_review", "noted")}
    return GuardrailFigures(round_number, len(gates), **counts)


def _gravest(gates: list[GateResult]) -> str:
    if any(gate.stops for gate in gates):
        return "denied"
    if any(gate.needs_review for gate in gates):
        return "needs_review"
    return "passed" if all(gate.passed for gate in gates) else "noted"
