"""Renders a gate's verdict as text: measured and allowed values, lost answers, matches of a rule."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from engine.gates.names import DRIFT_GATE, EARLIER_GATE, JUDGE_GATE, RED_TEAM_GATE, RULE_GATE, SUITE_GATE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

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


def verdict_label(gate: GateResult) -> VerdictLabel:
    """Return the label of a gate's verdict: passed, refused, needs review, or noted."""
    if gate.passed:
        return _PASSED
    if gate.stops:
        return _REFUSED
    return _NEEDS_REVIEW if gate.needs_review else _NOTED


def render_gate(gate: str, evidence: Mapping[str, Any]) -> list[str]:
    """Return plain lines: the figures first, then each lost answer with the expected one.

    The lines contain texts of prompts, models and tasks; the caller sanitizes them. Evidence of other gates, or in an
    unknown format, is one line of JSON.
    """
    try:
        return _render(gate, evidence)
    except (KeyError, TypeError, ValueError, AttributeError):
        return [json.dumps(evidence, ensure_ascii=False, sort_keys=True)]


def _render(gate: str, evidence: Mapping[str, Any]) -> list[str]:
    if gate == "reward":
        return [f"{evidence['reward_mean']:+.3f}, must be above {evidence['must_be_above']:g}"]
    if gate == "audit":
        gain = evidence["audit_gain"]
        said = "no audit question" if gain is None else f"{gain:+.3f}"
        return [f"{said}, must be at least {evidence['must_be_at_least']:g}"]
    if gate.startswith(SUITE_GATE):
        return [_figures(evidence, "prompt"), *_lost(evidence)]
    if gate == EARLIER_GATE:
        return [_figures(evidence, "question"), *_undone(evidence), *_lost(evidence)]
    if gate == DRIFT_GATE:
        return [_drift(evidence)]
    return _render_guardrail(gate, evidence)


def _render_guardrail(gate: str, evidence: Mapping[str, Any]) -> list[str]:
    if gate.startswith(RULE_GATE):
        return [_rule(evidence), *_matches(evidence)]
    if gate == RED_TEAM_GATE or gate.startswith(f"{RED_TEAM_GATE}:"):
        return render_red_team(evidence)
    if gate == JUDGE_GATE:
        return render_judge(evidence)
    raise ValueError(gate)


def _figures(evidence: Mapping[str, Any], what: str) -> str:
    asked, lost = evidence["prompts"], len(evidence["lost"])
    figures = [f"{asked} {what}" if asked == 1 else f"{asked} {what}s"]
    figures += [f"{evidence['right_before']} right before", f"{evidence['right_after']} right now"]
    noise = f" (p = {evidence['p_value']:.3g})" if lost else ""
    figures += [f"lost {lost}{noise}", f"allowed {evidence['allowed_losses']}"]
    if evidence["rule"] == "significant":
        figures.append(f"stops only if p ≤ {evidence['significance']:g}")
    return ", ".join(figures)


def _undone(evidence: Mapping[str, Any]) -> Iterator[str]:
    for edit in evidence["undone"]:
        answers = "1 answer" if edit["lost"] == 1 else f"{edit['lost']} answers"
        yield f"“{evidence['candidate_task']}” undoes {answers} of {edit['version']} “{edit['task']}”"


def _lost(evidence: Mapping[str, Any]) -> Iterator[str]:
    for lost in evidence["lost"]:
        where = " ".join(filter(None, (lost.get("version"), f"[{lost['group']}]" if lost["group"] else "")))
        asked = f"{where} {lost['prompt']}" if where else lost["prompt"]
        wanted = " / ".join(lost["expected"])
        yield f"✗ {asked}  expected: {wanted}; {_answer(lost['before'])} → {_answer(lost['after'])}"


def _rule(evidence: Mapping[str, Any]) -> str:
    found = evidence["found"]
    figures = [f"{evidence['kind']}: found {found}" if found else f"{evidence['kind']}: nothing found"]
    figures += [f"{name.replace('_', ' ')} {value}" for name, value in evidence["measured"].items()]
    return ", ".join(figures)


def _matches(evidence: Mapping[str, Any]) -> Iterator[str]:
    kept = evidence["matches"]
    for match in kept:
        line = "" if match["line"] is None else f", line {match['line']}"
        document = {True: " (the document has it, too)", False: " (not in the document)"}.get(
            match.get("in_document"), ""
        )
        yield f"• {match['where']}{line}: {match['what']}: {match['text']}{document}"
    if evidence["found"] > len(kept):
        yield f"… and {evidence['found'] - len(kept):,} more"


def _answer(answer: str) -> str:
    return answer or "(nothing)"


def _drift(evidence: Mapping[str, Any]) -> str:
    limit = evidence["max_drift"]
    allowed = "no limit" if limit is None else f"allowed {limit:g}"
    return (
        f"KL from the base {evidence['mean_kl']:.4f} nats per token, worst {evidence['worst_kl']:.3f}, "
        f"{evidence['mean_kl_before']:.4f} before, over {evidence['tokens']} tokens, {allowed}"
    )


_BECAME = {
    "kept": ("✓", "passes"),
    "mended": ("✓", "passes now, failed before"),
    "broken": ("✗", "broken by this edit"),
    "never held": ("✗", "failed before, too"),
}


def render_red_team(evidence: Mapping[str, Any]) -> list[str]:
    """Return the figures, then every prompt with the answers before and after."""
    asked = len(evidence["prompts"])
    figures = [f"{asked} prompt" if asked == 1 else f"{asked} prompts"]
    figures += [f"{evidence['held_before']} passed before", f"{evidence['hold']} pass now"]
    figures += [f"{evidence['broken']} broken by this edit"] if evidence["broken"] else []
    figures += [f"{evidence['never_held']} never passed"] if evidence["never_held"] else []
    return [", ".join(figures), *_prompts(evidence)]


def render_judge(evidence: Mapping[str, Any]) -> list[str]:
    """Return the judge's verdict, or why there is none."""
    if "unreachable" in evidence:
        return [f"not asked: {evidence['unreachable']}"]
    if "no_answer" in evidence:
        return [f"no valid answer: {evidence['no_answer']}"]
    said = "allowed" if evidence["allowed"] else "not allowed"
    rule = f" by “{evidence['rule']}”" if evidence["rule"] else ""
    return [f"{said}{rule}, says {evidence['model']}", f"• {evidence['reason']}"]


def needs_review_by(gates: Sequence[str]) -> str:
    """Return the gates because of which a candidate needs review, as a phrase."""
    names = ["the judge" if name == JUDGE_GATE else name for name in gates]
    return f"needs review: {' and '.join(filter(None, (', '.join(names[:-1]), names[-1])))}"


def _prompts(evidence: Mapping[str, Any]) -> Iterator[str]:
    for one in evidence["prompts"]:
        sign, became = _BECAME[one["became"]]
        answers = f"“{one['before']}” → “{one['after']}”"
        yield f"{sign} {one['name']} ({one['verdict']}): {became}. {one['prompt']}  {one['wanted']}; {answers}"
