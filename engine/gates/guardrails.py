"""The gate of guardrails.yaml's rules, which judge every self-edit before anything is trained on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from engine.guardrails.judging import judge_all, rule_verdict
from store.clock import utc_now

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from engine.gates.gate import GateContext, GateSubject, Stage
    from engine.guardrails.rule import Rule
    from store.records import GateResult


@dataclass(frozen=True, slots=True)
class RulesGate:
    """Applies every rule; each of them is a verdict of its own."""

    rules: tuple[Rule, ...]

    @classmethod
    def open(cls, context: GateContext, _stage: Stage) -> Self | None:
        """Return the gate; None if there is no rule."""
        return cls(context.guardrails.rules) if context.guardrails.rules else None

    def check(self, subjects: Sequence[GateSubject]) -> Generator[list[GateResult], None, None]:
        """Yield the verdicts of all rules on each candidate."""
        for one in subjects:
            if one.candidate is None:
                yield []
                continue
            findings = judge_all(self.rules, one.candidate.completion, one.candidate.sequences, one.task)
            yield [rule_verdict(finding, one.id, utc_now()) for finding in findings]
