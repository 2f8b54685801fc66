"""The names under which policy.yaml's verdicts are recorded: a rule's, or a group's, own name follows the colon."""

RULE_GATE = "rule:"
RED_TEAM_GATE = "red team"
JUDGE_GATE = "judge"
