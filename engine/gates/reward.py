"""Gates: pure verdicts on a measured candidate, each with the figures that it rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from store.records import GateResult

if TYPE_CHECKING:
    from engine.settings.sections import GateSettings


def reward_gate(candidate_id: str, reward_mean: float, settings: GateSettings, now: str) -> GateResult | None:
    """Pass where the mean reward is strictly above the limit; None where the gate is switched off."""
    if settings.min_reward is None:
        return None
    evidence = {"reward_mean": reward_mean, "must_be_above": settings.min_reward}
    return GateResult(candidate_id, "reward", reward_mean > settings.min_reward, evidence, now)


def audit_gate(candidate_id: str, audit_gain: float | None, settings: GateSettings, now: str) -> GateResult | None:
    """Pass where the gain on the audit questions reaches the limit, or there are none; None where the gate is off."""
    if settings.min_audit_gain is None:
        return None
    evidence: dict[str, float | str | None] = {"audit_gain": audit_gain, "must_be_at_least": settings.min_audit_gain}
    if audit_gain is None:
        evidence["note"] = "the task has no audit questions"
    passed = audit_gain is None or audit_gain >= settings.min_audit_gain
    return GateResult(candidate_id, "audit", passed, evidence, now)


def verdicts(
    candidate_id: str, reward_mean: float, audit_gain: float | None, settings: GateSettings, now: str
) -> list[GateResult]:
    """Return the verdict of every gate that is on."""
    results = [
        reward_gate(candidate_id, reward_mean, settings, now),
        audit_gate(candidate_id, audit_gain, settings, now),
    ]
    return [result for result in results if result is not None]
