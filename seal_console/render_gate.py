"""A gate's verdict in words: what was measured, what is allowed, every answer that was lost, all that a rule found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from engine.gates.evidence import describe_evidence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from store.records import GateResult


@dataclass(frozen=True, slots=True)
class VerdictLabel:
    """A verdict told by sign and word, and the tone that a colour may add."""

    sign: str
    word: str
    tone: Literal["good", "bad", "warn", "dim"]

    def __str__(self) -> str:
        return f"{self.sign} {self.word}"


_PASSED = VerdictLabel("✓", "passed", "good")
_REFUSED = VerdictLabel("✗", "refused", "bad")
_HELD = VerdictLabel("‖", "held", "warn")
_NOTED = VerdictLabel("›", "noted", "dim")


def verdict_label(gate: GateResult) -> VerdictLabel:
    """Return what a gate did with a candidate: let it pass, stopped it, held it for a person, or only noted it."""
    if gate.passed:
        return _PASSED
    if gate.stops:
        return _REFUSED
    return _HELD if gate.holds else _NOTED


def render_gate(gate: str, evidence: Mapping[str, Any]) -> list[str]:
    """Return plain lines: the figures first, then the details; whoever shows them sanitises the texts in them."""
    return describe_evidence(gate, evidence)
