from __future__ import annotations

from engine.exams.exam import EvalRequest, evaluate
from engine.lab.bundled_model.tokenizer import build_tokenizer
from engine.model.base import wrap_model
from engine.settings.sections import ExamSettings
from store.records import Question
from tests.tiny_models import random_model

QUESTIONS = tuple(
    Question(f"q{number}", "t", number, f"What is number {number}?", ["none"], "exact", {}, "reward")
    for number in range(5)
)


def test_the_settings_limit_the_length_of_an_answer() -> None:
    base = wrap_model(random_model("qwen2"), build_tokenizer(), name="m", fingerprint="f")
    lengths = []
    for limit in (1, 12):
        [answers] = evaluate(base, [EvalRequest(None, QUESTIONS, "base", "before")], ExamSettings(max_new_tokens=limit))
        assert [answer.question_id for answer in answers] == [question.id for question in QUESTIONS]
        lengths.append(max(len(base.encode(answer.text)) for answer in answers))
    assert 0 < lengths[0] < lengths[1]
