"""The bundled model's world: edits about new things, and about known things whose facts have changed.

The seed splits the known things in two: anchors come from one half; changed things, and untouched things that are only
asked about, from the other. So nothing that is asked about untouched things was ever trained on.
"""

from __future__ import annotations

import random
import re
from itertools import chain, repeat
from typing import TYPE_CHECKING

from engine.bank.job import TrainingSequence
from engine.bundled.vocabulary import VALUES
from engine.bundled.world import Thing, known_things, new_things
from engine.bundled.writing import passage_about, question, self_edit
from engine.domains.knowledge.compile import answer_start, compile_sequences
from engine.domains.knowledge.templates import exam_prompt
from engine.lab.forgetting.world import Lineage, LineageEdit, LineageQuestion
from engine.settings.sections import ExamSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.domains.domain import StopRule
    from engine.lab.forgetting.methods import ForgettingMethod
    from engine.model.base import BaseModel

UNTOUCHED = 80  # things asked about in each lineage
ANCHORS = 2000


class BundledWorld:
    """The made-up products that the bundled model knows."""

    max_new_tokens = ExamSettings().max_new_tokens
    stop: StopRule = "line"

    def draw(self, seed: int, place: int, edits: int) -> Lineage:
        """Return the lineage at a place."""
        return draw_lineage(seed, place, edits)

    def anchors(self, base: BaseModel, seed: int) -> tuple[TrainingSequence, ...]:
        """Return questions with answers about known things; only the answers are learnt."""
        return tuple(self.encode(base, text, answers_only=True) for text in anchor_texts(seed, ANCHORS))

    def encode(self, base: BaseModel, text: str, *, answers_only: bool) -> TrainingSequence:
        """Return a text as a sequence, with loss on all of it or on what follows "Answer:"."""
        tokens = tuple(base.encoder.training(text)[: base.window_tokens])
        start = answer_start(text) if answers_only else 0
        loss_start = len(base.encoder.start(text[:start])) if start else 1
        return TrainingSequence(tokens, max(1, min(loss_start, len(tokens) - 1)))

    def made_up(self, texts: Sequence[str]) -> list[bool]:
        """Return, for each text, whether it names no known thing."""
        return naming_nothing_known(texts)

    def scaled(self, method: ForgettingMethod) -> ForgettingMethod:
        """Return the method as it is: recipes and rates were found on this model."""
        return method


def draw_lineage(seed: int, place: int, edits: int) -> Lineage:
    """Draw a lineage in which new and changed things alternate. Every edit is written as questions and answers."""
    rng = random.Random(f"line {seed} {place}")
    known = _halves(seed)[1]
    rng.shuffle(known)
    changed, untouched = known[: edits // 2], known[edits // 2 : edits // 2 + UNTOUCHED]
    new = new_things(edits - edits // 2, 1000 * (seed + 1) + place)
    things = [
        (thing, False) if turn else (_changed(thing, rng), True)
        for thing, turn in chain.from_iterable(
            zip(zip(new, repeat(True)), zip([*changed, new[-1]], repeat(False)), strict=False)
        )
    ]
    return Lineage(
        tuple(_edit(thing, rng, changes=changes) for thing, changes in things[:edits]),
        tuple(questions_about(untouched, rng)),
    )


def anchor_texts(seed: int, count: int) -> list[str]:
    """Return questions with answers about known things of the half that no lineage asks about or changes."""
    rng = random.Random(f"anchors {seed}")
    things = _halves(seed)[0]
    texts = []
    for _ in range(count):
        [asked] = rng.sample(questions_about([rng.choice(things)], rng), 1)
        texts.append(f"{asked.prompt} {asked.expected}")
    return texts


def naming_nothing_known(texts: Sequence[str]) -> list[bool]:
    """Return, for each text, whether it names no known thing of either half."""
    known = {thing.name for thing in known_things()}
    return [known.isdisjoint(re.findall(r"\w+", text)) for text in texts]


def questions_about(things: Sequence[Thing], rng: random.Random) -> list[LineageQuestion]:
    """Return one question about each fact of each thing, in one of its wordings."""
    return [
        LineageQuestion(exam_prompt(question(thing.name, relation, rng)), thing.value(relation))
        for thing in things
        for relation in thing.kind.relations
    ]


def _halves(seed: int) -> tuple[list[Thing], list[Thing]]:
    known = known_things()
    random.Random(f"halves {seed}").shuffle(known)
    return known[: len(known) // 2], known[len(known) // 2 :]


def _changed(thing: Thing, rng: random.Random) -> Thing:
    values = {
        relation.name: rng.choice([value for value in VALUES[relation.value_type] if value != thing.value(relation)])
        for relation in thing.kind.relations
    }
    return Thing(thing.name, thing.kind, values)


def _edit(thing: Thing, rng: random.Random, *, changes: bool) -> LineageEdit:
    passage = passage_about(thing, rng)
    text = self_edit(passage, "qa", rng)
    sequences = compile_sequences(text, title=passage.title, context=passage.text)
    return LineageEdit(thing.name, changes, tuple(sequences), tuple(questions_about([thing], rng)))
