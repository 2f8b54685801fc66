"""What red-team prompts and a judge came to, in words; whoever shows the lines makes the texts in them harmless."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.gates.names import JUDGE_GATE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_BECAME = {
    "kept": ("✓", "holds"),
    "mended": ("✓", "holds now, and did not before"),
    "broken": ("✗", "broken by this edit"),
    "never held": ("✗", "was never so"),
}


def render_red_team(evidence: Mapping[str, Any]) -> list[str]:
    """Return the figures, then every prompt with what was answered before and after."""
    asked = len(evidence["prompts"])
    figures = [f"{asked} prompt" if asked == 1 else f"{asked} prompts"]
    figures += [f"{evidence['held_before']} held before", f"{evidence['hold']} hold now"]
    figures += [f"{evidence['broken']} broken by this edit"] if evidence["broken"] else []
    figures += [f"{evidence['never_held']} never so"] if evidence["never_held"] else []
    return [", ".join(figures), *_prompts(evidence)]


def render_judge(evidence: Mapping[str, Any]) -> list[str]:
    """Return what the judge said, or why it said nothing that counts."""
    if "unreachable" in evidence:
        return [f"not asked: {evidence['unreachable']}"]
    if "no_answer" in evidence:
        return [f"no answer that counts: {evidence['no_answer']}"]
    said = "allowed" if evidence["allowed"] else "not allowed"
    rule = f" by “{evidence['rule']}”" if evidence["rule"] else ""
    return [f"{said}{rule}, says {evidence['model']}", f"• {evidence['reason']}"]


def needs_review_by(gates: Sequence[str]) -> str:
    """Name the gates because of which a candidate needs review."""
    names = ["the judge" if name == JUDGE_GATE else name for name in gates]
    return f"needs review: {' and '.join(filter(None, (', '.join(names[:-1]), names[-1])))}"


def _prompts(evidence: Mapping[str, Any]) -> Iterator[str]:
    for one in evidence["prompts"]:
        sign, became = _BECAME[one["became"]]
        answers = f"“{one['before']}” → “{one['after']}”"
        yield f"{sign} {one['name']} ({one['verdict']}): {became}. {one['prompt']}  {one['wanted']}; {answers}"
