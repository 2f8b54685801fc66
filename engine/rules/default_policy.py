"""The policy.yaml that a new workspace begins with."""

from __future__ import annotations

from importlib import resources


def default_policy_text() -> str:
    """Return the commented text of a policy.yaml with rules that suit most workspaces."""
    return resources.files("engine.rules").joinpath("default_policy.yaml").read_text(encoding="utf-8")
