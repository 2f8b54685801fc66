"""Rules for tests: a rule from options, its verdict on a text, and strategies for texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml
from hypothesis import strategies as st

from engine.guardrails.judging import judge
from engine.guardrails.reading import parse_guardrails
from engine.input_files.text_files import TextFile
from store.records import Question, Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.guardrails.reading import Guardrails
    from engine.guardrails.rule import Rule, RuleFinding

WORDS = st.text(alphabet="abcdefghijklmnopqrstuvwxyz", min_size=2, max_size=8)
PROSE = st.lists(WORDS, max_size=12).map(" ".join)


def rules_of(text: str) -> Guardrails:
    guardrails, problems = parse_guardrails(TextFile("guardrails.yaml", text, "sha256:0"))
    assert problems == []
    return guardrails


def problems_of(text: str) -> list[str]:
    return parse_guardrails(TextFile("guardrails.yaml", text, "sha256:0"))[1]


def rule(kind: str, **options: Any) -> Rule:
    (found,) = rules_of(yaml.safe_dump({"rules": [{"rule": "one", "kind": kind, **options}]}, allow_unicode=True)).rules
    return found


def task_with(context: str = "", *, audit: Sequence[tuple[str, str]] = ()) -> Task:
    questions = [
        Question(f"q{position}", "t", position, text, [answer], "exact", {}, "audit")
        for position, (text, answer) in enumerate(audit)
    ]
    return Task("t", "Title", context, "a.md", "now", questions=questions)


def verdict(judged_by: Rule, text: str, sequences: Sequence[str] = (), task: Task | None = None) -> RuleFinding:
    return judge(judged_by, text, sequences, task)


def found(judged_by: Rule, text: str, sequences: Sequence[str] = (), task: Task | None = None) -> list[str]:
    """Return each match as "what: text"."""
    return [f"{one['what']}: {one['text']}" for one in verdict(judged_by, text, sequences, task).evidence["matches"]]
