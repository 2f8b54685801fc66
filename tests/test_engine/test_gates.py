from __future__ import annotations

from engine.gates.reward import verdicts
from engine.settings.sections import GateSettings

NOW = "2026-01-01T00:00:00.000Z"


def _passed(reward: float, audit: float | None, **settings: float | None) -> dict[str, bool]:
    results = verdicts("c", reward, audit, GateSettings(**settings), NOW)
    assert all(result.candidate_id == "c" and result.decided_at == NOW for result in results)
    return {result.gate: result.passed for result in results}


def test_the_reward_must_be_strictly_above_its_limit() -> None:
    assert _passed(0.0, 0.0) == {"reward": False, "audit": True}
    assert _passed(0.01, 0.0) == {"reward": True, "audit": True}
    assert _passed(0.3, 0.0, min_reward=0.3)["reward"] is False


def test_a_gain_on_the_audit_split_may_be_nothing_but_no_loss() -> None:
    assert _passed(0.5, -0.01)["audit"] is False
    assert _passed(0.5, 0.2, min_audit_gain=0.25)["audit"] is False
    assert _passed(0.5, 0.25, min_audit_gain=0.25)["audit"] is True


def test_without_audit_questions_the_evidence_says_so() -> None:
    [audit] = verdicts("c", 0.5, None, GateSettings(min_reward=None), NOW)
    assert audit.passed
    assert audit.evidence["note"] == "the task has no audit questions"


def test_gates_can_be_switched_off() -> None:
    assert _passed(-1.0, -1.0, min_reward=None, min_audit_gain=None) == {}
