"""The name under which a rule's verdict is recorded; the rule's own name follows it. Loads nothing."""

RULE_GATE = "rule:"
