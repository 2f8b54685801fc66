"""Renders a gate's verdict as text: measured and allowed values, lost answers, matches of a rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from engine.gates.evidence import describe_evidence
from engine.gates.names import JUDGE_GATE
from store.untested import is_untested

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from store.records import GateResult


@dataclass(frozen=True, slots=True)
class VerdictLabel:
    """A verdict as sign and word, and the tone that a colour may add."""

    sign: str
    word: str
    tone: Literal["good", "bad", "warn", "dim"]

    def __str__(self) -> str:
        return f"{self.sign} {self.word}"


_PASSED = VerdictLabel("✓", "passed", "good")
_REFUSED = VerdictLabel("✗", "refused", "bad")
_NEEDS_REVIEW = VerdictLabel("‖", "needs review", "warn")
_NOTED = VerdictLabel("›", "noted", "dim")
NOT_TESTED = VerdictLabel("–", "not tested", "dim")


def verdict_label(gate: GateResult) -> VerdictLabel:
    """Return the label of a gate's verdict: passed, not tested, refused, needs review, or noted."""
    if gate.passed:
        return NOT_TESTED if is_untested(gate.evidence) else _PASSED
    if gate.stops:
        return _REFUSED
    return _NEEDS_REVIEW if gate.needs_review else _NOTED


def render_gate(gate: str, evidence: Mapping[str, Any]) -> list[str]:
    """Return plain lines: the figures first, then the details; whoever shows them sanitizes the texts in them."""
    return describe_evidence(gate, evidence)


def needs_review_by(gates: Sequence[str]) -> str:
    """Return the gates because of which a candidate needs review, as a phrase."""
    names = ["the judge" if name == JUDGE_GATE else name for name in gates]
    return f"needs review: {' and '.join(filter(None, (', '.join(names[:-1]), names[-1])))}"
