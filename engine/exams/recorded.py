"""Asks many states of the model the prompts of suites and the questions of tasks, each only what it was not yet asked.

All states answer in one mixed-adapter batch. What is recorded stays: it is found again by the prompt, the model and the
weights that answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

from engine.domains.knowledge.templates import exam_prompt
from engine.exams.exam import EvalRequest, answer_texts, evaluate
from engine.exams.likelihoods import chosen_texts
from engine.generation.decoding import GenerationRequest
from engine.graders.interface import FULL, ZERO
from engine.graders.registry import grade_answer
from store.answers import ModelState, record_base_answers, recorded_answers
from store.clock import utc_now
from store.hashing import HASH_PREFIX, hash_json
from store.records import Question, RetentionAnswer
from store.retention import record_retention_answers, retention_answers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from engine.graders.interface import Grade
    from engine.lora.adapter import Adapter
    from engine.model.base import BaseModel
    from engine.retention.suites import RetentionPrompt
    from engine.session import Session
    from store.records import Answer


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A state of the model with its adapter, in the shape of inner updates; None is the base alone."""

    state: ModelState
    adapter: Adapter | None


class ExamPrompt(Protocol):
    """A prompt as it is put; `identity` is the hash of all that an answer's grade depends on, but for the model."""

    @property
    def text(self) -> str: ...  # noqa: D102
    @property
    def as_it_stands(self) -> bool: ...  # noqa: D102
    @property
    def identity(self) -> str: ...  # noqa: D102


AnyPrompt = TypeVar("AnyPrompt", bound=ExamPrompt)
Choose: TypeAlias = "Callable[[BaseModel, Sequence[Adapter | None], Sequence[tuple[AnyPrompt, int]]], list[str]]"


def suite_answers(
    session: Session, prompts: Sequence[RetentionPrompt], examinees: Sequence[ModelRef]
) -> list[dict[str, RetentionAnswer]]:
    """Return the answers of each examinee to prompts of suites, by identity (`prompt_answers`)."""
    written = [prompt for prompt in prompts if prompt.choices is None]
    answers = prompt_answers(session, written, examinees, _grade)
    if len(written) == len(prompts):
        return answers
    to_choose = [prompt for prompt in prompts if prompt.choices is not None]
    chosen = prompt_answers(session, to_choose, examinees, _grade_choice, chosen_texts)
    return [{**one, **other} for one, other in zip(answers, chosen, strict=True)]


def prompt_answers(
    session: Session,
    prompts: Sequence[AnyPrompt],
    examinees: Sequence[ModelRef],
    grade: Callable[[AnyPrompt, str], Grade],
    choose: Choose[AnyPrompt] | None = None,
) -> list[dict[str, RetentionAnswer]]:
    """Return the answers of each examinee by the prompts' identity, asking and grading only what is not recorded.

    With `choose` answers are chosen by it, not written.
    Raises GraderError or WrongUseError, naming the prompt, where an answer cannot be graded.
    """
    asked_as = _conditions(session)
    by_hash = {hash_json([asked_as, prompt.identity]): prompt for prompt in prompts}
    found = [retention_answers(session.db, by_hash, one.state.weights) for one in examinees]
    missing = [
        (place, prompt_hash) for place, known in enumerate(found) for prompt_hash in by_hash if prompt_hash not in known
    ]
    asked = [(by_hash[prompt_hash], place) for place, prompt_hash in missing]
    adapters = [one.adapter for one in examinees]
    texts = choose(session.base, adapters, asked) if choose else _written_texts(session, adapters, asked)
    grades = [grade(by_hash[prompt_hash], text) for (_, prompt_hash), text in zip(missing, texts, strict=True)]
    new = [
        RetentionAnswer(prompt_hash, examinees[place].state.weights, text, one.score, one.correct, utc_now())
        for (place, prompt_hash), text, one in zip(missing, texts, grades, strict=True)
    ]
    record_retention_answers(session.db, new)
    for (place, prompt_hash), answer in zip(missing, new, strict=True):
        found[place][prompt_hash] = answer
    return [{by_hash[prompt_hash].identity: answer for prompt_hash, answer in known.items()} for known in found]


def question_answers(
    session: Session, questions: Sequence[Question], examinees: Sequence[ModelRef]
) -> list[dict[str, Answer]]:
    """Return the answers of each examinee to questions of tasks, by question id, asking only what is not recorded."""
    ids = [question.id for question in questions]
    found = [recorded_answers(session.db, ids, one.state, session.base.fingerprint) for one in examinees]
    sittings = [
        EvalRequest(
            one.adapter,
            tuple(question for question in questions if question.id not in known),
            one.state.name,
            "after" if one.state.name.startswith(HASH_PREFIX) else "before",
        )
        for one, known in zip(examinees, found, strict=True)
    ]
    for known, answers in zip(found, evaluate(session.base, sittings, session.settings.exam), strict=True):
        record_base_answers(session.db, answers)
        known.update({answer.question_id: answer for answer in answers})
    return found


def _conditions(session: Session) -> Mapping[str, object]:
    """What an answer depends on beside prompt and adapter: a cached one must not outlive another model or limit."""
    base = session.base
    return {
        "base": base.fingerprint,
        "precision": str(base.precision),
        "chat": base.uses_chat_template,
        "max_new_tokens": session.settings.exam.max_new_tokens,
    }


def _written_texts(
    session: Session, adapters: Sequence[Adapter | None], asked: Sequence[tuple[ExamPrompt, int]]
) -> list[str]:
    requests = [GenerationRequest(_tokens(session.base, prompt), place) for prompt, place in asked]
    return answer_texts(session.base, adapters, requests, session.settings.exam)


def _tokens(base: BaseModel, prompt: ExamPrompt) -> tuple[int, ...]:
    if prompt.as_it_stands:
        return tuple(base.encode_start(prompt.text))
    return tuple(base.encode_prompt(exam_prompt(prompt.text)))


def _grade(prompt: RetentionPrompt, text: str) -> Grade:
    question = Question(
        id=prompt.identity,
        task_id=prompt.place,
        position=0,
        text=prompt.text,
        answers=list(prompt.answers),
        grader=prompt.grader,
        grader_options=prompt.grader_options,
        split="audit",
    )
    return grade_answer(question, text)


def _grade_choice(prompt: RetentionPrompt, text: str) -> Grade:
    return FULL if text in prompt.answers else ZERO
