"""Exams: questions put to the base under many adapters at once, without any context, and graded.

Answers are greedy and end at the end of the line or of the text. Grading is in `engine.graders`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.domains.knowledge.templates import exam_prompt
from engine.generation.decoding import GenerationRequest, Limits, generate
from engine.graders.registry import grade_answer
from store.records import Answer, Phase, Question

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.lora.adapter import Adapter
    from engine.model.base import BaseModel
    from engine.settings.sections import ExamSettings

_AUTO_ROWS = {"cpu": 64, "cuda": 512}


@dataclass(frozen=True, slots=True)
class EvalRequest:
    """The exam of one adapter (None: the model as it stands), and what its answers are filed under."""

    adapter: Adapter | None
    questions: tuple[Question, ...]
    model_state: str
    phase: Phase
    candidate_id: str | None = None
    repeat: int = 0


def evaluate(base: BaseModel, sittings: Sequence[EvalRequest], settings: ExamSettings) -> list[list[Answer]]:
    """Ask and grade; returns the answers of each sitting in the order of its questions.

    Raises GraderError or WrongUseError, naming the question, where an answer cannot be graded.
    """
    requests = [
        GenerationRequest(tuple(base.encode_prompt(exam_prompt(question.text))), adapter=index)
        for index, sitting in enumerate(sittings)
        for question in sitting.questions
    ]
    texts = iter(answer_texts(base, [sitting.adapter for sitting in sittings], requests, settings))
    return [[_graded(base, sitting, question, next(texts)) for question in sitting.questions] for sitting in sittings]


def answer_texts(
    base: BaseModel, adapters: Sequence[Adapter | None], requests: Sequence[GenerationRequest], settings: ExamSettings
) -> list[str]:
    """Continue prompts greedily to the end of the line; returns the stripped texts in the order of the requests."""
    rows = settings.batch_size if settings.batch_size != "auto" else _AUTO_ROWS.get(base.device.type, 64)
    limits = Limits(settings.max_new_tokens, base.stop_tokens, base.line_end_tokens, rows)
    tokens = generate(base, adapters, requests, limits)
    return [base.tokenizer.decode(one, skip_special_tokens=True).strip() for one in tokens]


def _graded(base: BaseModel, sitting: EvalRequest, question: Question, text: str) -> Answer:
    grade = grade_answer(question, text)
    return Answer(
        question_id=question.id,
        candidate_id=sitting.candidate_id,
        repeat=sitting.repeat,
        phase=sitting.phase,
        model_state=sitting.model_state,
        text=text,
        score=grade.score,
        correct=grade.correct,
        base_fingerprint=base.fingerprint if sitting.candidate_id is None else None,
    )
