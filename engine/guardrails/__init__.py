"""Guardrails: the rules, red-team prompts and judge of guardrails.yaml, as values and how they are read."""
