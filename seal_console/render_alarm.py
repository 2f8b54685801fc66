"""Renders an alarm as text: the figures of both rounds, the limits, and examples."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from engine.alarms import names
from store.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MEANINGS: dict[str, str] = {
    names.ONE_ANSWER: "Many different questions get the same answer.",
    names.AGREE: "Answers agree more often, and fewer of them are right.",
    names.ALIKE: "The self-edits of most tasks are nearly identical: the policy no longer explores.",
    names.ECHO: "Most self-edits only repeat what their prompt says.",
    names.LENGTH: "Self-edits have become much longer, or much shorter.",
    names.REWARD: "The reward rises while the gain on audit questions falls.",
}
_FIGURES = {
    "agreement": "agreement",
    "reward": "mean reward",
    "held_out": "held-out accuracy",
    "audit": "accuracy on audit questions",
    "audit_gain": "mean audit gain",
}


def render_alarm(name: str, evidence: Mapping[str, Any]) -> list[str]:
    """Return plain lines, the figures first; evidence in an unknown format is one line of JSON.

    The lines contain texts of models and tasks; the caller sanitizes them.
    """
    try:
        return [*_figures(name, evidence), *_examples(evidence)]
    except (KeyError, TypeError, ValueError, AttributeError):
        return [json.dumps(evidence, ensure_ascii=False, sort_keys=True)]


def _figures(name: str, evidence: Mapping[str, Any]) -> Iterator[str]:
    if name == names.ONE_ANSWER:
        questions = counted(evidence["questions"], "question")
        yield f"“{evidence['answer']}” answers {evidence['share']:.1%} of {questions}; "
        share_of_expected = evidence.get("share_of_expected", evidence.get("share_of_gold"))  # its former name
        yield f"the commonest expected answer {share_of_expected:.1%}"
        yield f"at least {evidence['share_at_least']:.1%} beyond chance, allowed {evidence['must_be_at_most']:.1%}"
    elif name in {names.ALIKE, names.ECHO}:
        what = "are alike" if name == names.ALIKE else "are copied from the prompt"
        reached, tasks = evidence["tasks_at_the_limit"], evidence["tasks"]
        yield f"in {reached} of {counted(tasks, 'task')} self-edits {what} by {evidence['limit']:.0%} or more"
        yield f"at least {evidence['share_at_least']:.1%} of such tasks beyond chance, allowed half"
        if evidence["mean_before"] is not None:
            yield f"mean {evidence['mean_before']:.1%} in round {evidence['earlier_round']}, {evidence['mean']:.1%} now"
    elif name == names.LENGTH:
        before, now = evidence["median_before"], evidence["median"]
        times = evidence["times"]
        yield f"median {before:g} words in round {evidence['earlier_round']}, {now:g} now: {times:.1f} times"
        yield f"allowed below {evidence['must_be_below']:g} times; p = {evidence['p_value']:.2g}"
    elif name in {names.AGREE, names.REWARD}:
        yield f"since round {evidence['earlier_round']}:"
        yield _change("agreement" if name == names.AGREE else "reward", evidence["rose"])
        for which, change in evidence["fell"].items():
            yield _change(which, change)
        yield f"allowed: a fall below {evidence['must_fall_by_less_than']:g}, or p above {evidence['p_at_most']:.2g}"
        yield f"p of all together: {evidence['p_value']:.2g}"
    else:
        raise ValueError(name)


def _change(figure: str, change: Mapping[str, Any]) -> str:
    tasks = counted(change["tasks"], "task") + ("" if change["same_tasks"] else " of both rounds")
    return f"{_FIGURES[figure]} {change['before']:.3f} → {change['now']:.3f} (p = {change['p_value']:.2g}, {tasks})"


def _examples(evidence: Mapping[str, Any]) -> Iterator[str]:
    for one in evidence["examples"]:
        expected = one.get("expected", one.get("wanted"))  # its former name
        asked = f": {one['question']}  expected: {expected}; mostly {one['commonest'] or '(nothing)'}"
        yield f"“{one['task']}”{asked if one['question'] else ''}"
        yield f"    trained on: {one['self_edit'] or '(nothing)'}"
