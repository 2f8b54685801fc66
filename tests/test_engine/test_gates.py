"""The gates on a candidate's own task, as functions of its figures and the settings."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from engine.gates.evidence import describe_evidence
from engine.gates.gate import GateSubject
from engine.gates.reward import AuditGate, RewardGate
from engine.settings.sections import GateSettings, Settings

if TYPE_CHECKING:
    from engine.gates.gate import Gate, GateContext
    from store.records import GateResult


class Context:
    """Only what these gates look at."""

    def __init__(self, **gates: float | None) -> None:
        self.settings = Settings(gates=GateSettings(**gates))


def verdicts(reward: float | None, audit: float | None, **settings: float | None) -> list[GateResult]:
    context = cast("GateContext", Context(**settings))
    gates: list[type[Gate]] = [RewardGate, AuditGate]
    opened: list[Any] = [gate for kind in gates if (gate := kind.open(context, "after training")) is not None]
    subject = replace(GateSubject("c"), reward_mean=reward, audit_gain=audit)
    return [verdict for gate in opened for verdict in next(gate.check([subject]))]


def passed(reward: float, audit: float | None, **settings: float | None) -> dict[str, bool]:
    return {result.gate: result.passed for result in verdicts(reward, audit, **settings)}


def test_the_reward_must_be_strictly_above_its_limit() -> None:
    assert passed(0.0, 0.0) == {"reward": False, "audit": True}
    assert passed(0.01, 0.0) == {"reward": True, "audit": True}
    assert passed(0.3, 0.0, min_reward=0.3)["reward"] is False


def test_the_audit_gain_may_be_zero_but_not_a_loss() -> None:
    assert passed(0.5, -0.01)["audit"] is False
    assert passed(0.5, 0.2, min_audit_gain=0.25)["audit"] is False
    assert passed(0.5, 0.25, min_audit_gain=0.25)["audit"] is True


def test_without_audit_questions_the_evidence_says_so() -> None:
    [audit] = verdicts(0.5, None, min_reward=None)
    assert audit.passed
    assert audit.evidence["note"] == "the task has no audit questions"


def test_gates_can_be_switched_off() -> None:
    assert passed(-1.0, -1.0, min_reward=None, min_audit_gain=None) == {}


def test_a_candidate_without_a_reward_gets_no_reward_verdict() -> None:
    assert [one.gate for one in verdicts(None, 0.0)] == ["audit"]


def test_evidence_without_a_type_of_its_own_reads_as_its_figures() -> None:
    recorded = {"characters": 12, "allowed_characters": 10, "rule": None, "lines": ["a", "b"]}
    assert describe_evidence("length", recorded) == [
        "characters 12, allowed characters 10, rule none",
        'lines: ["a", "b"]',
    ]
    assert describe_evidence("length", {}) == ["no evidence kept"]
