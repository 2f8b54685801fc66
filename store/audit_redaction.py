"""What a version's files may say of the exam: no question of the audit, no answer to one. Those stay in the database.

Git is where adapters are read and copied from, also by whoever makes the next training data. Evidence that quotes the
audit says so under `AUDIT_KEY`; evidence that quotes it without saying so is not recognised.
"""

from __future__ import annotations

from typing import Any

AUDIT_KEY = "audit"
_QUOTING = frozenset({"text", "prompt", "expected", "before", "after"})


def without_exam(evidence: Any) -> Any:
    """Return evidence without what is quoted of the audit; everything else of it stays."""
    if isinstance(evidence, list):
        return [without_exam(one) for one in evidence]
    if not isinstance(evidence, dict):
        return evidence
    quotes = evidence.get(AUDIT_KEY) is True
    return {key: without_exam(value) for key, value in evidence.items() if not (quotes and key in _QUOTING)}
