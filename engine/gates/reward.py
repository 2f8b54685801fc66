"""The gates on a candidate's own task: the gain on its reward questions, and on its audit questions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from engine.gates.evidence import AuditEvidence, RewardEvidence
from engine.gates.names import AUDIT_GATE, REWARD_GATE
from store.clock import utc_now
from store.records import GateResult

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from engine.gates.gate import GateContext, GateSubject, Stage


@dataclass(frozen=True, slots=True)
class RewardGate:
    """Passes a candidate whose mean reward is strictly above the limit."""

    must_be_above: float

    @classmethod
    def open(cls, context: GateContext, _stage: Stage) -> Self | None:
        """Return the gate; None if `gates.min_reward` switches it off."""
        limit = context.settings.gates.min_reward
        return None if limit is None else cls(limit)

    def check(self, subjects: Sequence[GateSubject]) -> Generator[list[GateResult], None, None]:
        """Yield a verdict on each subject that has a reward."""
        for one in subjects:
            yield [] if one.reward_mean is None else [self.verdict(one.id, one.reward_mean)]

    def verdict(self, candidate_id: str, reward_mean: float) -> GateResult:
        """Judge one reward."""
        evidence = RewardEvidence(reward_mean, self.must_be_above)
        passed = reward_mean > self.must_be_above
        return GateResult(candidate_id, REWARD_GATE, passed, evidence.as_json(), utc_now())


@dataclass(frozen=True, slots=True)
class AuditGate:
    """Passes a candidate whose gain on the audit questions reaches the limit, or whose task has none."""

    must_be_at_least: float

    @classmethod
    def open(cls, context: GateContext, _stage: Stage) -> Self | None:
        """Return the gate; None if `gates.min_audit_gain` switches it off."""
        limit = context.settings.gates.min_audit_gain
        return None if limit is None else cls(limit)

    def check(self, subjects: Sequence[GateSubject]) -> Generator[list[GateResult], None, None]:
        """Yield a verdict on each subject."""
        for one in subjects:
            yield [self.verdict(one.id, one.audit_gain)]

    def verdict(self, candidate_id: str, audit_gain: float | None) -> GateResult:
        """Judge one audit gain."""
        note = "the task has no audit questions" if audit_gain is None else None
        evidence = AuditEvidence(audit_gain, self.must_be_at_least, note)
        passed = audit_gain is None or audit_gain >= self.must_be_at_least
        return GateResult(candidate_id, AUDIT_GATE, passed, evidence.as_json(), utc_now())
