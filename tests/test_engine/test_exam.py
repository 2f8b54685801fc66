"""Exams of items that say for themselves where an answer ends and how long it may be."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.domains.knowledge.domain import KnowledgeDomain
from engine.exams.exam import EvalRequest, evaluate
from engine.executors.local import LocalExecutor
from engine.lab.bundled_model.tokenizer import build_tokenizer
from engine.model.base import BaseModel, wrap_model
from store.records import Answer, Question
from tests.tiny_models import random_model

if TYPE_CHECKING:
    from engine.domains.domain import ExamItem

QUESTIONS = [
    Question(f"q{number}", "t", number, f"What is number {number}?", ["none"], "exact", {}, "reward")
    for number in range(5)
]


@pytest.fixture(scope="module")
def base() -> BaseModel:
    return wrap_model(random_model("qwen2"), build_tokenizer(), name="m", fingerprint="f")


def items(limit: int) -> list[ExamItem]:
    return KnowledgeDomain("implications", "default", limit).exam(QUESTIONS)


def answers(base: BaseModel, exam: list[ExamItem]) -> list[Answer]:
    [given] = evaluate(LocalExecutor(base), [EvalRequest(None, tuple(exam), "base", "before")])
    assert [answer.question_id for answer in given] == [item.question.id for item in exam]
    return given


def test_an_items_limit_bounds_the_length_of_its_answer(base: BaseModel) -> None:
    lengths = [max(len(base.encoder.text(one.text)) for one in answers(base, items(limit))) for limit in (1, 12)]
    assert 0 < lengths[0] < lengths[1]


def test_items_with_different_limits_and_stop_rules_are_answered_in_one_call(base: BaseModel) -> None:
    short, long = items(1), items(24)
    to_the_end = [replace(item, stop="end") for item in long]
    mixed = [*short[:2], *to_the_end[2:], *long[:2]]
    expected = [*answers(base, short[:2]), *answers(base, to_the_end[2:]), *answers(base, long[:2])]
    assert [one.text for one in answers(base, mixed)] == [one.text for one in expected]
    assert all("\n" not in one.text for one in answers(base, long))
