"""A pretrained model's world: each edit teaches the questions of one passage, and general suites must not suffer.

What updates rehearse are the base's own answers to everyday prompts, as in a workspace.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING

from engine.bank.encode import encode_example
from engine.continual.own_answers import own_answers
from engine.domains.knowledge.compile import compile_sequences
from engine.executors.local import LocalExecutor
from engine.lab.forgetting.methods import PAPER
from engine.lab.forgetting.world import Lineage, LineageEdit, LineageQuestion
from engine.loop.session import recipe_of
from engine.retention.general_suites import general_retention
from engine.settings.sections import ProtectionSettings
from engine.tasks.reading import read_tasks
from store.errors import WrongUseError
from store.hashing import hash_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.bank.job import TrainingSequence
    from engine.domains.domain import Domain, StopRule
    from engine.lab.forgetting.methods import ForgettingMethod
    from engine.model.base import BaseModel
    from engine.settings.sections import Settings
    from store.records import Task

FEWEST_QUESTIONS, MOST_QUESTIONS = 3, 5


@dataclass(frozen=True)
class PassageWorld:
    """Passages with their questions, under the settings that suit a model."""

    settings: Settings
    tasks: tuple[Task, ...]
    domain: Domain
    untouched: tuple[LineageQuestion, ...]

    @property
    def max_new_tokens(self) -> int:
        """The longest answer, in tokens."""
        return self.settings.exam.max_new_tokens

    @property
    def stop(self) -> StopRule:
        """Where an answer ends."""
        return self.domain.stop

    def draw(self, seed: int, place: int, edits: int) -> Lineage:
        """Return a lineage of passages, each of another title as far as there are enough, none in two lineages."""
        by_title: dict[str, list[Task]] = {}
        for task in sorted(self.tasks, key=lambda task: hash_json([seed, task.context])):
            by_title.setdefault(task.title, []).append(task)
        ranked = [task for of_rank in zip_longest(*by_title.values()) for task in of_rank if task]
        chosen = ranked[place * edits : (place + 1) * edits]
        if len(chosen) < edits:
            raise WrongUseError(
                f"{place + 1} lineages of {edits} edits need {(place + 1) * edits} passages with {FEWEST_QUESTIONS} "
                f"questions or more; there are {len(ranked)}.",
                next_step="lower --lineages or --edits, or name a larger file",
            )
        return Lineage(tuple(map(self._edit, chosen)), self.untouched)

    def anchors(self, base: BaseModel, seed: int) -> tuple[TrainingSequence, ...]:
        """Return the base's own answers to everyday prompts."""
        prompts = general_retention().anchor_prompts
        texts = own_answers(LocalExecutor(base), self.domain, prompts)
        encoded = (encode_example(base, self.domain.anchor(text)) for text in texts)
        return tuple(sorted((one for one in encoded if one), key=lambda one: hash_json([seed, list(one.tokens)])))

    def encode(self, base: BaseModel, text: str, *, answers_only: bool) -> TrainingSequence:
        """Return a text as a sequence; a chat model learns only the answer of a question in any case."""
        example = self.domain.anchor(text) if answers_only else self.domain.example(text)
        found = encode_example(base, example)
        if found is None:
            raise WrongUseError("A question is longer than the model's window.", next_step="name shorter passages")
        return found

    def made_up(self, texts: Sequence[str]) -> list[bool]:
        """Return True for each text: no perturbed everyday prompt can name what a passage is about by chance alone."""
        return [True] * len(texts)

    def scaled(self, method: ForgettingMethod) -> ForgettingMethod:
        """Return a method under this model's settings: what it changes on the bundled model, it changes here alike."""
        own, recipe, rates = recipe_of(self.settings.inner_update), method.recipe, method.rates
        protection, usual = self.settings.protection, ProtectionSettings()
        return replace(
            method,
            recipe=replace(
                own,
                batch_size=own.batch_size * recipe.batch_size,
                learning_rate=own.learning_rate * recipe.learning_rate / PAPER.learning_rate,
                schedule=recipe.schedule if recipe.schedule != PAPER.schedule else own.schedule,
            ),
            rates=replace(
                rates,
                replayed=rates.replayed * own.batch_size * protection.replay_ratio / usual.replay_ratio,
                anchors=rates.anchors * own.batch_size * protection.anchor_ratio / usual.anchor_ratio,
                perturbed_anchors=rates.perturbed_anchors
                * own.batch_size
                * protection.perturbed_ratio
                / usual.perturbed_ratio,
            ),
        )

    def _edit(self, task: Task) -> LineageEdit:
        asked = task.questions[:MOST_QUESTIONS]
        lines = "\n".join(f"Question: {one.text}\nAnswer: {one.answers[0]}" for one in asked)
        sequences = compile_sequences(lines, title=task.title, context=task.context)
        questions = (
            LineageQuestion(item.prompt, item.question.answers[0], item.question) for item in self.domain.exam(asked)
        )
        return LineageEdit(
            task.title, changes_what_was_known=False, sequences=tuple(sequences), questions=tuple(questions)
        )


def passage_world(settings: Settings, file: Path) -> PassageWorld:
    """Read the passages of a task file. Raises WrongUseError if it cannot be read."""
    domain = settings.make_domain()
    tasks = read_tasks([file], audit_share=0.0, form=settings.prompt_form).tasks
    suites = general_retention().prompts
    untouched = tuple(
        LineageQuestion(domain.question_prompt(one.text), one.answers[0], one.as_question())
        for one in suites
        if not one.raw and one.choices is None
    )
    enough = tuple(task for task in tasks if len(task.questions) >= FEWEST_QUESTIONS)
    return PassageWorld(settings, enough, domain, untouched)
