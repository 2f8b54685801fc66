"""Exams: questions answered without their context, under many adapters at once, and graded.

Answers are greedy. What each question's prompt is and where its answer ends is up to the domain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.generation.prompts import Completion, TextPrompt
from engine.graders.registry import grade_answer
from store.records import Answer, Phase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.domains.domain import ExamItem, PromptForm
    from engine.executors.executor import Executor
    from engine.generation.prompts import BatchSize
    from engine.lora.adapter import Adapter
    from store.answers import ModelState


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A model to examine: the base with an adapter, or alone (None), and the state its answers are recorded under."""

    state: ModelState
    adapter: Adapter | None


@dataclass(frozen=True, slots=True)
class EvalRequest:
    """One exam of one model. The other fields are what its answers are recorded under."""

    adapter: Adapter | None
    items: tuple[ExamItem, ...]
    model_state: str
    phase: Phase
    candidate_id: str | None = None
    repeat: int = 0


def evaluate(
    executor: Executor,
    requests: Sequence[EvalRequest],
    *,
    form: PromptForm = "plain",
    batch_size: BatchSize = "auto",
) -> list[list[Answer]]:
    """Answer and grade all exams in mixed batches; returns the answers of each request in the order of its items.

    `form` is how the items put their questions; the answers are recorded with it.
    Raises GraderError or WrongUseError, naming the question, if an answer cannot be graded.
    """
    prompts = [
        TextPrompt(item.prompt, index, item.max_new_tokens, item.stop)
        for index, request in enumerate(requests)
        for item in request.items
    ]
    completions = iter(executor.complete(prompts, [one.adapter for one in requests], batch_size=batch_size))
    fingerprint = executor.identity.fingerprint
    return [
        [_graded(request, item, next(completions), fingerprint, form) for item in request.items] for request in requests
    ]


def _graded(request: EvalRequest, item: ExamItem, given: Completion, fingerprint: str, form: PromptForm) -> Answer:
    grade = grade_answer(item.question, given.text)
    return Answer(
        question_id=item.question.id,
        candidate_id=request.candidate_id,
        repeat=request.repeat,
        phase=request.phase,
        model_state=request.model_state,
        text=given.text,
        score=grade.score,
        correct=grade.correct,
        base_fingerprint=fingerprint if request.candidate_id is None else None,
        form=None if form == "plain" else form,
        cut=given.cut,
    )
