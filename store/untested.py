"""Which gates that a candidate passed have tested nothing, by their recorded evidence.

Such a pass refuses nobody, but it is no sign that anything was kept: screens, cards and JSON say "not tested".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def is_untested(evidence: Mapping[str, Any]) -> bool:
    """Return whether a gate that passed with this evidence had nothing to test.

    There was no audit question, no right answer that could be lost, or no limit of the drift.
    """
    measured = evidence.get("measured")
    if isinstance(measured, dict) and measured.get("audit_questions") == 0:
        return True
    if "audit_gain" in evidence and evidence["audit_gain"] is None:
        return True
    if "mean_kl" in evidence and evidence.get("max_drift") is None:
        return True
    return evidence.get("right_before") == 0
