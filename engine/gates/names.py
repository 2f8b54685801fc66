"""The names of the gates on retention, as they are recorded; a suite's gate has its name after the colon."""

SUITE_GATE = "retention:"
EARLIER_GATE = "earlier edits"
DRIFT_GATE = "drift"


RULE_GATE = "rule:"
RED_TEAM_GATE = "red team"
JUDGE_GATE = "judge"


def is_guardrail_gate(name: str) -> bool:
    """Whether a gate's verdict is that of guardrails.yaml: of a rule, of red-team prompts, or of the judge."""
    return name in {RED_TEAM_GATE, JUDGE_GATE} or name.startswith((RULE_GATE, f"{RED_TEAM_GATE}:"))
