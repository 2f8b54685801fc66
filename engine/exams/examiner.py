"""Examines models on questions, prompts and anchors; what is recorded already is not asked again.

All models answer in one mixed-adapter batch. An answer is found again by its prompt, the base model and the weights
that gave it, so neither a second round nor an interrupted one asks twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from engine.exams.exam import EvalRequest, ModelRef, evaluate
from engine.generation.prompts import ChoicePrompt, TextPrompt
from engine.graders.interface import FULL, ZERO
from engine.graders.registry import grade_answer
from store.answers import WITH_CONTEXT_STATE, base_answers, record_base_answers, recorded_answers
from store.clock import utc_now
from store.hashing import HASH_PREFIX, hash_json
from store.records import Drift, Question, RetentionAnswer
from store.retention import (
    measured_drift,
    measured_noise,
    record_drift,
    record_retention_answers,
    retention_answers,
)
from store.version_tags import state_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sqlite_utils import Database

    from engine.domains.domain import Domain
    from engine.executors.executor import Executor
    from engine.generation.prompts import BatchSize
    from engine.graders.interface import Grade
    from engine.lora.adapter import Adapter
    from engine.retention.suites import RetentionPrompt, Suite
    from store.records import Answer, SuiteNoise, Task


class ExamPrompt(Protocol):
    """A prompt outside of any task. `identity` hashes all that an answer's grade depends on, except the model."""

    @property
    def text(self) -> str: ...  # noqa: D102
    @property
    def raw(self) -> bool: ...  # noqa: D102
    @property
    def identity(self) -> str: ...  # noqa: D102


AnyPrompt = TypeVar("AnyPrompt", bound=ExamPrompt)
_Given = tuple[str, bool]  # an answer, and whether the token limit cut it off


@dataclass(frozen=True, slots=True)
class Examiner:
    """Examines models of one workspace on one executor.

    Questions follow the domain, those of suites too. A prompt that the model continues is answered in one line. No
    answer has more than `max_answer_tokens` tokens.
    """

    db: Database
    executor: Executor
    domain: Domain
    max_answer_tokens: int
    batch_size: BatchSize = "auto"

    def evaluate(self, requests: Sequence[EvalRequest]) -> list[list[Answer]]:
        """Answer and grade exams without recording them; see `exam.evaluate`."""
        return evaluate(self.executor, requests, form=self.domain.form, batch_size=self.batch_size)

    def answers_before_update(
        self, live: Adapter | None, live_version: int | None, questions: Sequence[Question]
    ) -> dict[str, Answer]:
        """Return the live model's answers by question id. Each question is asked once for each live version."""
        state = state_name(live_version)
        found = base_answers(self.db, [one.id for one in questions], state, self._fingerprint, self._form)
        missing = list({q.id: q for q in questions if q.id not in found}.values())
        if missing:
            [answers] = self.evaluate([EvalRequest(live, tuple(self.domain.exam(missing)), state, "before")])
            record_base_answers(self.db, answers)
            found.update({answer.question_id: answer for answer in answers})
        return found

    def answers_with_context(self, tasks: Sequence[Task]) -> dict[str, Answer]:
        """Return the base's answers by question id, each given with the task's context in view."""
        ids = [question.id for task in tasks for question in task.questions]
        found = base_answers(self.db, ids, WITH_CONTEXT_STATE, self._fingerprint, self._form)
        items = [one for task in tasks for one in self.domain.open_exam(task) if one.question.id not in found]
        if items:
            [answers] = self.evaluate([EvalRequest(None, tuple(items), WITH_CONTEXT_STATE, "before")])
            record_base_answers(self.db, answers)
            found.update({answer.question_id: answer for answer in answers})
        return found

    def question_answers(self, questions: Sequence[Question], models: Sequence[ModelRef]) -> list[dict[str, Answer]]:
        """Return the answers of each model to questions of tasks, by question id."""
        ids = [question.id for question in questions]
        found = [recorded_answers(self.db, ids, one.state, self._fingerprint, self._form) for one in models]
        requests = [
            EvalRequest(
                one.adapter,
                tuple(self.domain.exam([question for question in questions if question.id not in known])),
                one.state.name,
                "after" if one.state.name.startswith(HASH_PREFIX) else "before",
            )
            for one, known in zip(models, found, strict=True)
        ]
        for known, answers in zip(found, self.evaluate(requests), strict=True):
            record_base_answers(self.db, answers)
            known.update({answer.question_id: answer for answer in answers})
        return found

    def suite_answers(
        self, prompts: Sequence[RetentionPrompt], models: Sequence[ModelRef]
    ) -> list[dict[str, RetentionAnswer]]:
        """Return the answers of each model to suite prompts, by the prompts' identity.

        Prompts with choices are answered with the most likely one, all others in the model's own words.
        """
        written = self.prompt_answers([one for one in prompts if one.choices is None], models, _grade)
        chosen = self._prompt_answers(
            [one for one in prompts if one.choices is not None], models, _grade_choice, self._choose
        )
        return [{**one, **other} for one, other in zip(written, chosen, strict=True)]

    def ask_in_batches(self, batches: Iterable[Sequence[RetentionPrompt]], model: ModelRef) -> dict[str, bool]:
        """Return by the prompts' identity whether a model answers right if it is asked in these batches.

        What was recorded is not looked at, and nothing is recorded.
        """
        right: dict[str, bool] = {}
        for batch in batches:
            written = [(prompt, 0) for prompt in batch if prompt.choices is None]
            chosen = [(prompt, 0) for prompt in batch if prompt.choices is not None]
            for asked, answer, grade in ((written, self._write, _grade), (chosen, self._choose, _grade_choice)):
                given = answer(asked, [model.adapter]) if asked else []
                for (prompt, _), (text, _) in zip(asked, given, strict=True):
                    right[prompt.identity] = grade(prompt, text).correct
        return right

    def noise(self, suite: Suite) -> SuiteNoise | None:
        """Return the noise floor of a suite on this base; None if it was not measured."""
        return measured_noise(self.db, suite.prompts_hash, self.conditions_hash)

    @property
    def conditions_hash(self) -> str:
        """The hash of what an answer depends on besides prompt and adapter."""
        return hash_json(self._conditions())

    def prompt_answers(
        self,
        prompts: Sequence[AnyPrompt],
        models: Sequence[ModelRef],
        grade: Callable[[AnyPrompt, str], Grade],
    ) -> list[dict[str, RetentionAnswer]]:
        """Return the written answers of each model by the prompts' identity.

        Raises GraderError or WrongUseError, naming the prompt, if an answer cannot be graded.
        """
        return self._prompt_answers(prompts, models, grade, self._write)

    def drift(self, anchors: Sequence[str], models: Sequence[ModelRef]) -> list[Drift]:
        """Return how far each model is from the base on the anchors.

        Raises WrongUseError if the anchors have no token of this model.
        """
        identity = self.executor.identity
        anchors_hash = hash_json([identity.fingerprint, f"torch.{identity.precision}", list(anchors)])
        found = {one.state.weights: measured_drift(self.db, anchors_hash, one.state.weights) for one in models}
        missing = {one.state.weights: one.adapter for one in models if found[one.state.weights] is None}
        if missing:
            measured = self.executor.measure_divergence(anchors, list(missing.values()))
            new = [
                Drift(anchors_hash, weights, one.mean_kl, one.worst_kl, one.tokens, utc_now())
                for weights, one in zip(missing, measured, strict=True)
            ]
            record_drift(self.db, new)
            found.update({drift.model_state: drift for drift in new})
        return [drift for one in models if (drift := found[one.state.weights]) is not None]

    @property
    def _fingerprint(self) -> str:
        return self.executor.identity.fingerprint

    @property
    def _form(self) -> str | None:
        """The form of the exam as answers record it: None is plainly, as all were put before there were others."""
        return None if self.domain.form == "plain" else self.domain.form

    def _prompt_answers(
        self,
        prompts: Sequence[AnyPrompt],
        models: Sequence[ModelRef],
        grade: Callable[[AnyPrompt, str], Grade],
        answer: Callable[[Sequence[tuple[AnyPrompt, int]], Sequence[Adapter | None]], list[_Given]],
    ) -> list[dict[str, RetentionAnswer]]:
        conditions = self._conditions()
        by_hash = {hash_json([conditions, prompt.identity]): prompt for prompt in prompts}
        found = [retention_answers(self.db, by_hash, one.state.weights) for one in models]
        missing = [
            (place, prompt_hash)
            for place, known in enumerate(found)
            for prompt_hash in by_hash
            if prompt_hash not in known
        ]
        asked = [(by_hash[prompt_hash], place) for place, prompt_hash in missing]
        given = answer(asked, [one.adapter for one in models]) if asked else []
        grades = [grade(prompt, text) for (prompt, _), (text, _) in zip(asked, given, strict=True)]
        new = [
            RetentionAnswer(prompt_hash, models[place].state.weights, text, one.score, one.correct, utc_now(), cut)
            for (place, prompt_hash), (text, cut), one in zip(missing, given, grades, strict=True)
        ]
        record_retention_answers(self.db, new)
        for (place, prompt_hash), recorded in zip(missing, new, strict=True):
            found[place][prompt_hash] = recorded
        return [{by_hash[prompt_hash].identity: one for prompt_hash, one in known.items()} for known in found]

    def _conditions(self) -> dict[str, object]:
        """What an answer depends on besides prompt and adapter: with another model or limit it is asked again."""
        identity = self.executor.identity
        return {
            "base": identity.fingerprint,
            "precision": f"torch.{identity.precision}",
            "chat": identity.uses_chat_template,
            "max_new_tokens": self.max_answer_tokens,
            **({} if self._form is None else {"form": self._form}),
        }

    def _write(self, asked: Sequence[tuple[ExamPrompt, int]], adapters: Sequence[Adapter | None]) -> list[_Given]:
        prompts = [
            TextPrompt(
                prompt.text if prompt.raw else self.domain.question_prompt(prompt.text),
                place,
                self.max_answer_tokens,
                "line" if prompt.raw else self.domain.stop,
                raw=prompt.raw,
            )
            for prompt, place in asked
        ]
        return [(one.text, one.cut) for one in self.executor.complete(prompts, adapters, batch_size=self.batch_size)]

    def _choose(self, asked: Sequence[tuple[RetentionPrompt, int]], adapters: Sequence[Adapter | None]) -> list[_Given]:
        prompts = [
            ChoicePrompt(prompt.text, choices.options, choices.delimiter, choices.per_character, place, prompt.place)
            for prompt, place in asked
            if (choices := prompt.choices) is not None
        ]
        return [(option, False) for option in self.executor.choose(prompts, adapters)]


def _grade(prompt: RetentionPrompt, text: str) -> Grade:
    return grade_answer(prompt.as_question(), text)


def _grade_choice(prompt: RetentionPrompt, text: str) -> Grade:
    return FULL if text in prompt.answers else ZERO
