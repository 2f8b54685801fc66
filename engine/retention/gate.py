"""Verdicts on what a candidate lost: suites, earlier edits, drift. Pure: answers in, verdict and evidence out.

Each formerly right answer that is now wrong is named; answers that were wrong before cannot be lost. A gain somewhere
else never pays for a loss: it only enters the test that tells loss from noise.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from fractions import Fraction
from math import comb, floor
from typing import TYPE_CHECKING, Any

from engine.retention.gate_names import DRIFT_GATE, EARLIER_GATE, SUITE_GATE
from store.exam_secrecy import AUDIT_KEY
from store.records import GateResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.retention.suites import Suite
    from engine.settings import RetentionSettings
    from store.records import Drift


@dataclass(frozen=True, slots=True)
class Compared:
    """One prompt, or question, with the answers before an update and after it."""

    prompt: str
    expected: tuple[str, ...]
    before: str
    after: str
    right_before: bool
    right_after: bool
    group: str = ""

    @property
    def is_lost(self) -> bool:
        """Whether a right answer became wrong."""
        return self.right_before and not self.right_after


@dataclass(frozen=True, slots=True)
class ComparedEarlier(Compared):
    """A question of an earlier edit: its version, the title of its task, whether it is one of the audit."""

    version: str = ""
    task: str = ""
    of_audit: bool = False


def paired_p_value(lost: int, gained: int) -> float:
    """Return the chance of so many losses or more among the changed answers, if losing and gaining were equally likely.

    McNemar's test in its exact, one-sided form: P(X ≥ lost) for X binomial with lost + gained trials of ½ (McNemar
    1947, Psychometrika 12; the exact form is the sign test). Whole numbers until the last division; 1 without changes.
    """
    changed = lost + gained
    ways, as_many_or_more = comb(changed, lost), 0
    for count in range(lost, changed + 1):
        as_many_or_more += ways
        ways = ways * (changed - count) // (count + 1)
    return as_many_or_more / (1 << changed)


def losses_allowed(allowed: float, prompts: int) -> int:
    """Return how many losses a limit allows: an int is a count, a float a share of the prompts, rounded down."""
    if isinstance(allowed, int):
        return allowed
    # 0.29 of 100 is 29, as it was written; the nearest binary number would give 28.
    return floor(Fraction(str(allowed)) * prompts)


def suite_gate(
    candidate_id: str, suite: Suite, compared: Sequence[Compared], settings: RetentionSettings, now: str
) -> GateResult:
    """Judge one suite under its own limit of losses, or that of the settings where it has none."""
    limit = settings.allowed_losses if suite.allowed_losses is None else suite.allowed_losses
    evidence = _figures(compared, losses_allowed(limit, len(compared)), settings)
    passed = _passes(evidence, settings)
    return GateResult(candidate_id, SUITE_GATE + suite.name, passed, {"suite": suite.name, **evidence}, now)


def earlier_gate(
    candidate_id: str, own_task: str, compared: Sequence[ComparedEarlier], settings: RetentionSettings, now: str
) -> GateResult:
    """Judge the exam of earlier edits; the evidence names the candidate's own task and every edit that it undid."""
    evidence = _figures(compared, settings.earlier_losses, settings)
    undone = Counter((one.version, one.task) for one in compared if one.is_lost)
    named = {
        "edits": len({one.version for one in compared}),
        "candidate_task": own_task,
        "undone": [{"version": version, "task": task, "lost": lost} for (version, task), lost in undone.items()],
    }
    return GateResult(candidate_id, EARLIER_GATE, _passes(evidence, settings), {**named, **evidence}, now)


def drift_gate(candidate_id: str, before: Drift, after: Drift, settings: RetentionSettings, now: str) -> GateResult:
    """Judge the drift from the base; without a limit it is measured, and passes."""
    passed = settings.max_drift is None or after.mean_kl <= settings.max_drift
    evidence = {
        "tokens": after.tokens,
        "mean_kl": after.mean_kl,
        "worst_kl": after.worst_kl,
        "mean_kl_before": before.mean_kl,
        "max_drift": settings.max_drift,
    }
    return GateResult(candidate_id, DRIFT_GATE, passed, evidence, now)


def _figures(compared: Sequence[Compared], allowed: int, settings: RetentionSettings) -> dict[str, Any]:
    lost = [one for one in compared if one.is_lost]
    gained = sum(one.right_after and not one.right_before for one in compared)
    return {
        "prompts": len(compared),
        "right_before": sum(one.right_before for one in compared),
        "right_after": sum(one.right_after for one in compared),
        "lost": [_named(one) for one in lost],
        "gained": gained,
        "allowed_losses": allowed,
        "p_value": paired_p_value(len(lost), gained),
        "rule": settings.gate,
        "significance": settings.significance,
    }


def _named(lost: Compared) -> dict[str, Any]:
    named = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in asdict(lost).items()
        if not isinstance(value, bool)
    }
    return {**named, AUDIT_KEY: True} if isinstance(lost, ComparedEarlier) and lost.of_audit else named


def _passes(evidence: dict[str, Any], settings: RetentionSettings) -> bool:
    if len(evidence["lost"]) <= evidence["allowed_losses"]:
        return True
    return settings.gate == "significant" and evidence["p_value"] > settings.significance
