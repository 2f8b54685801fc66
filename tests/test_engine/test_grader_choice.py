"""Which grader a question gets if its file names none, and what SQuAD's own measures say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from engine.graders.choice import choose_grader
from engine.graders.registry import find_grader
from engine.tasks.reading import read_tasks

if TYPE_CHECKING:
    from pathlib import Path

    from engine.domains.domain import PromptForm

SENTENCE = "Claims are sent to the service desk within two years of the purchase."


@pytest.mark.parametrize(
    ("answers", "form", "grader"),
    [
        (["Nora Berg"], "plain", "exact"),
        (["Nora Berg"], "chat", "contains"),
        (["Nora Berg"], "few-shot", "squad"),
        ([SENTENCE], "chat", "token_f1"),
        ([SENTENCE], "few-shot", "token_f1"),
        ([SENTENCE], "plain", "exact"),
        ([SENTENCE, "two years"], "chat", "contains"),
    ],
)
def test_the_grader_follows_from_answers_and_form(answers: list[str], form: PromptForm, grader: str) -> None:
    assert choose_grader(answers, form) == grader
    assert find_grader(grader).grade(answers[0], answers, {}).correct


def test_a_grader_that_the_file_names_stays(tmp_path: Path) -> None:
    questions = [
        {"question": "Who leads it?", "answer": "Nora"},
        {"question": "Since when?", "answer": "1999", "grader": "number"},
    ]
    task = {"title": "Oslo", "context": "Nora has led it since 1999.", "questions": questions}
    file = tmp_path / "t.jsonl"
    file.write_text(json.dumps(task), encoding="utf-8")
    graders = {
        form: [one.grader for one in read_tasks([file], audit_share=0, form=form).tasks[0].questions]
        for form in ("plain", "chat", "few-shot")
    }
    assert graders == {
        "plain": ["exact", "number"],
        "chat": ["contains", "number"],
        "few-shot": ["squad", "number"],
    }


def test_squad_counts_equal_answers_and_scores_the_overlap() -> None:
    grader = find_grader("squad")
    accepted = ["Denver Broncos", "the Broncos"]
    equal, longer = grader.grade("The Denver Broncos.", accepted, {}), grader.grade("It was the Broncos", accepted, {})
    assert (equal.correct, equal.score) == (True, 1.0)
    assert not longer.correct
    assert longer.score == pytest.approx(2 / 4)
    assert not grader.grade("the", ["the Broncos"], {}).correct
    assert grader.check_options({"threshold": 1})
