"""Prompts for self-edits and exams, filled from the plain text files in `prompts/`.

Placeholders are replaced literally and in one pass, so text that itself contains "{title}" is never expanded.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.domains.domain import PromptForm

EditFormat = Literal["implications", "implications-long", "rewrite", "self-qa"]
FORMATS: tuple[EditFormat, ...] = get_args(EditFormat)
_PLACEHOLDER = re.compile(r"\{(title|context|question)\}")


@cache
def _template(name: str) -> str:
    return (resources.files("engine.domains.knowledge") / "prompts" / f"{name}.txt").read_text(encoding="utf-8")


def _fill(template: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: values[match[1]], template)


def prompt_for(edit_format: str, title: str, context: str) -> str:
    """Return the prompt that asks for a self-edit about a context."""
    return _fill(_template(edit_format), {"title": title, "context": context})


def exam_prompt(question: str, form: PromptForm = "plain") -> str:
    """Return the prompt that asks one question without any context."""
    return _fill(_template("exam" if form == "plain" else f"exam-{form}"), {"question": question})


def open_exam_prompt(question: str, title: str, context: str, form: PromptForm) -> str:
    """Return the prompt that asks one question with the context in view."""
    passage = f"{title}\n{context.strip()}"
    asked = exam_prompt(question, form)
    before, mark, after = asked.rpartition("\n\n") if form == "few-shot" else ("", "", asked)
    return f"{before}{mark}{passage}\n\n{after}"
