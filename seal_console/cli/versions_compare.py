"""`versions compare`: what the console shows for two versions, as text or as data."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from seal_console.queries.version_comparison import compare_versions

if TYPE_CHECKING:
    from seal_console.cli.invocation import Invocation
    from seal_console.cli.workspace_session import WorkspaceSession
    from seal_console.queries.version_comparison import AnswerChanges, VersionComparison
    from seal_console.queries.versions import VersionFacts
    from store.records import Answer


def show_comparison(invocation: Invocation, found: WorkspaceSession, first: int, second: int) -> None:
    """Write the comparison of two versions by number; 0 is the base alone."""
    compared = compare_versions(found.workspace, found.db, first, second)
    output = invocation.output
    if output.as_json:
        output.data(_as_data(compared))
        return
    from seal_console.console.screens.version_comparison_text import comparison_text  # noqa: PLC0415 - loads Textual

    text = comparison_text(compared, output.out.width).plain
    output.show("\n".join(line.rstrip() for line in text.split("\n")))


def _as_data(compared: VersionComparison) -> dict[str, Any]:
    return {
        "kind": "comparison",
        "first": _version(compared.first),
        "second": _version(compared.second),
        "answers": [_answers(one) for one in compared.answers],
        "weights": None if compared.distance is None else asdict(compared.distance),
        "no_weights_because": compared.no_distance or None,
    }


def _version(facts: VersionFacts) -> dict[str, Any]:
    candidate = facts.candidate
    return {
        "version": facts.tag,
        "pointers": facts.pointers,
        **(asdict(facts.version) if facts.version is not None else {}),
        "task": facts.task.title if facts.task is not None else None,
        "reward_mean": candidate.reward_mean if candidate is not None else None,
        "audit_gain": candidate.audit_gain if candidate is not None else None,
        "self_edit": candidate.completion if candidate is not None else None,
        "manifest": facts.stored.manifest,
    }


def _answers(one: AnswerChanges) -> dict[str, Any]:
    question = one.question
    return {
        "task": one.task_title,
        "split": question.split,
        "question": question.text,
        "expected": question.answers,
        "first": _answer(one.first),
        "second": _answer(one.second),
    }


def _answer(answer: Answer | None) -> dict[str, Any] | None:
    return None if answer is None else {"text": answer.text, "correct": answer.correct}
