"""Keeps audit questions and their answers out of the files of a version. They stay in the database.

Adapters are read and copied from git, also by people who make training data. Evidence that quotes the audit marks it
with `AUDIT_KEY`; an unmarked quotation is not recognised.
"""

from __future__ import annotations

from typing import Any

AUDIT_KEY = "audit"
_QUOTING = frozenset({"text", "prompt", "expected", "before", "after"})


def without_exam(evidence: Any) -> Any:
    """Return evidence without its quotations of the audit; the rest is unchanged."""
    if isinstance(evidence, list):
        return [without_exam(one) for one in evidence]
    if not isinstance(evidence, dict):
        return evidence
    quotes = evidence.get(AUDIT_KEY) is True
    return {key: without_exam(value) for key, value in evidence.items() if not (quotes and key in _QUOTING)}
