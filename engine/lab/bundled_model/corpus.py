"""The training exercises of the bundled model, an endless stream drawn from a seed.

An exercise is a prompt and a completion; only the completion is trained on, because a passage of random facts would be
noise to predict. New names (see `vocabulary.is_new_name`) never occur here.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.bundled.world import Thing, known_things, random_thing, reading_names
from engine.bundled.writing import (
    Fact,
    Passage,
    Style,
    passage_about,
    question,
    question_and_answer,
    release_note,
    self_edit,
    statement,
)
from engine.domains.knowledge.templates import exam_prompt, prompt_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Weights = tuple[tuple[Style, float], ...]
STYLE_WEIGHTS: Weights = (("restate", 0.2), ("qa", 0.15), ("one", 0.25), ("talk", 0.2), ("wrong", 0.2))
STYLE_WEIGHTS_AT_LAST: Weights = (("restate", 0.24), ("qa", 0.18), ("one", 0.2), ("talk", 0.18), ("wrong", 0.2))
CLEAN_STYLE_WEIGHTS: Weights = (("restate", 0.55), ("qa", 0.45))


@dataclass(frozen=True, slots=True)
class Exercise:
    """What the model reads, and what it must write after it."""

    prompt: str
    completion: str


@dataclass(frozen=True, slots=True)
class Mixture:
    """Weights of the kinds of exercises, and of the styles of self-edits; they need not add up to one.

    `wrong_apart`: false self-edits have a wording of their own. Without it only the values tell a false self-edit from
    a good one, and a small model slips from one into the other.
    """

    known_question: float
    known_statement: float
    reading: float
    release_reading: float
    self_edit: float
    other_format: float
    styles: Weights = STYLE_WEIGHTS
    wrong_apart: bool = False


LEARNING = Mixture(0.28, 0.16, 0.26, 0.05, 0.19, 0.06)
POLISHING = Mixture(0.18, 0.10, 0.16, 0.04, 0.45, 0.07)
SEPARATING = Mixture(0.15, 0.08, 0.12, 0.04, 0.54, 0.07, STYLE_WEIGHTS_AT_LAST, wrong_apart=True)


class ExerciseBook:
    """Draws exercises: in the first phase reading and clean self-edits, in the second also the bad styles."""

    def __init__(self, seed: int, mixture: Mixture = LEARNING) -> None:
        self._rng = random.Random(f"exercises {seed}")
        self._mixture = mixture
        self._known = known_things()
        self._reading_names = reading_names()

    def exercises(self, *, clean_only: bool) -> Iterator[Exercise]:
        """Yield exercises without end, in the mixture of one phase."""
        share = self._mixture
        mixture: dict[Callable[[], Exercise], float] = {
            self._known_question: share.known_question,
            self._known_statement: share.known_statement,
            self._reading: share.reading,
            self._release_reading: share.release_reading,
            lambda: self._self_edit(CLEAN_STYLE_WEIGHTS if clean_only else share.styles): share.self_edit,
            lambda: self._other_format(clean_only=clean_only): share.other_format,
        }
        kinds, weights = list(mixture), list(mixture.values())
        while True:
            yield self._rng.choices(kinds, weights)[0]()

    def _known_question(self) -> Exercise:
        thing = self._rng.choice(self._known)
        relation = self._rng.choice(thing.kind.relations)
        return Exercise(exam_prompt(question(thing.name, relation, self._rng)), f" {thing.value(relation)}")

    def _known_statement(self) -> Exercise:
        thing = self._rng.choice(self._known)
        relation = self._rng.choice(thing.kind.relations)
        line = statement(thing.name, Fact(relation, thing.value(relation)), self._rng)
        return Exercise(f"{thing.name}\n", line)

    def _reading(self) -> Exercise:
        return self._questions_about(passage_about(self._fresh_thing(), self._rng))

    def _release_reading(self) -> Exercise:
        return self._questions_about(release_note(self._fresh_or_known_thing(), self._rng, self._rng.randint(1, 3)))

    def _questions_about(self, passage: Passage) -> Exercise:
        asked = self._rng.choice(passage.facts)
        prompt = exam_prompt(question(passage.title, asked.relation, self._rng))
        return Exercise(f"{passage.title}\n{passage.text}\n\n{prompt}", f" {asked.value}")

    def _self_edit(self, weights: Weights) -> Exercise:
        passage = self._any_passage()
        style = self._rng.choices([name for name, _ in weights], [weight for _, weight in weights])[0]
        return Exercise(prompt_for("implications", passage.title, passage.text), self._written(passage, style))

    def _written(self, passage: Passage, style: Style) -> str:
        return self_edit(passage, style, self._rng, apart=self._mixture.wrong_apart)

    def _other_format(self, *, clean_only: bool) -> Exercise:
        passage = self._any_passage()
        edit_format = self._rng.choice(["implications-long", "rewrite", "self-qa"])
        style: Style = "qa" if edit_format == "self-qa" else "restate"
        if not clean_only and self._rng.random() < 0.3:  # noqa: PLR2004 - a part of them is bad
            style = self._rng.choice(["one", "talk", "wrong"])
        completion = self._written(passage, style)
        if edit_format == "implications-long" and style == "restate":
            pairs = [question_and_answer(passage.title, fact, self._rng) for fact in passage.facts]
            completion = "\n".join([completion, *pairs])
        return Exercise(prompt_for(edit_format, passage.title, passage.text), completion)

    def _any_passage(self) -> Passage:
        if self._rng.random() < 0.2:  # noqa: PLR2004 - one passage in five is a release note
            return release_note(self._fresh_or_known_thing(), self._rng, self._rng.randint(1, 3))
        return passage_about(self._fresh_thing(), self._rng)

    def _fresh_thing(self) -> Thing:
        return random_thing(self._rng.choice(self._reading_names), self._rng)

    def _fresh_or_known_thing(self) -> Thing:
        return self._rng.choice(self._known) if self._rng.random() < 0.5 else self._fresh_thing()  # noqa: PLR2004
