"""The names under which verdicts are recorded. A suite's, a rule's or a group's own name follows the colon."""

from __future__ import annotations

from engine.guardrails.judging import RULE_GATE

TRAINING_GATE = "training"
RACING_GATE = "racing"
REWARD_GATE = "reward"
AUDIT_GATE = "audit"
SUITE_GATE = "retention:"
EARLIER_GATE = "earlier edits"
DRIFT_GATE = "drift"
RED_TEAM_GATE = "red team"
JUDGE_GATE = "judge"


def red_team_gate(group: str) -> str:
    """Return the name of the gate of a group of red-team prompts; of those without a group if it is empty."""
    return f"{RED_TEAM_GATE}:{group}" if group else RED_TEAM_GATE


def is_red_team_gate(name: str) -> bool:
    """Whether a verdict is about red-team prompts, grouped or not."""
    return name == RED_TEAM_GATE or name.startswith(f"{RED_TEAM_GATE}:")


def is_guardrail_gate(name: str) -> bool:
    """Whether a verdict comes from guardrails.yaml: from a rule, red-team prompts, or the judge."""
    return name == JUDGE_GATE or name.startswith(RULE_GATE) or is_red_team_gate(name)
