"""The names under which policy.yaml's verdicts are recorded: a rule's, or a group's, own name follows the colon."""

RULE_GATE = "rule:"
RED_TEAM_GATE = "red team"
JUDGE_GATE = "judge"


def is_policy_gate(name: str) -> bool:
    """Whether a gate's verdict is that of policy.yaml: of a rule, of red-team prompts, or of the judge."""
    return name in {RED_TEAM_GATE, JUDGE_GATE} or name.startswith((RULE_GATE, f"{RED_TEAM_GATE}:"))
