"""Texts of the bundled language: passages, release notes, and self-edits in styles that teach more or less."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from engine.bundled.vocabulary import VALUES
from engine.bundled.world import EMPTY_TALK, Relation, Thing

if TYPE_CHECKING:
    import random

Style = Literal["restate", "qa", "one", "talk", "wrong"]
GOOD_STYLES: tuple[Style, ...] = ("restate", "qa")
STYLES: tuple[Style, ...] = ("restate", "qa", "one", "talk", "wrong")


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact as a passage states it; `former` is the value that a release note replaces."""

    relation: Relation
    value: str
    former: str | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """A context about one thing, with its facts in the order of the text."""

    title: str
    text: str
    facts: tuple[Fact, ...]


def passage_about(thing: Thing, rng: random.Random) -> Passage:
    """Write a passage that states every fact of a thing once, in random order and wording."""
    relations = rng.sample(thing.kind.relations, len(thing.kind.relations))
    facts = tuple(Fact(relation, thing.value(relation)) for relation in relations)
    sentences = [rng.choice(thing.kind.openers).format(n=thing.name)]
    sentences += [rng.choice(fact.relation.clauses).format(v=fact.value) for fact in facts]
    return Passage(thing.name, " ".join(sentences), facts)


def release_note(thing: Thing, rng: random.Random, changes: int = 2) -> Passage:
    """Write a release note that changes some facts of a thing; `facts` holds the new values."""
    relations = rng.sample(thing.kind.relations, changes)
    facts = tuple(
        Fact(relation, other_value(relation, {thing.value(relation)}, rng), thing.value(relation))
        for relation in relations
    )
    sentences = [f"Release notes for {thing.name}."]
    sentences += [fact.relation.change.format(v=fact.value, o=fact.former) for fact in facts]
    return Passage(thing.name, " ".join(sentences), facts)


def other_value(relation: Relation, taken: set[str], rng: random.Random) -> str:
    """Draw a value of the relation's type that is not among those taken."""
    return rng.choice([value for value in VALUES[relation.value_type] if value not in taken])


def statement(name: str, fact: Fact, rng: random.Random, wordings: slice = slice(None)) -> str:
    """Say a fact in a sentence that names the thing, in one of the relation's wordings."""
    return rng.choice(fact.relation.statements[wordings]).format(n=name, v=fact.value)


def question(name: str, relation: Relation, rng: random.Random) -> str:
    """Ask for a relation's value."""
    return rng.choice(relation.questions).format(n=name)


def question_and_answer(name: str, fact: Fact, rng: random.Random) -> str:
    """Ask for a fact and answer, in the form of the exam."""
    return f"Question: {question(name, fact.relation, rng)}\nAnswer: {fact.value}"


def self_edit(passage: Passage, style: Style, rng: random.Random, *, apart: bool = False) -> str:
    """Write a self-edit about a passage in one style; `apart` keeps the last wording of each relation for false facts.

    restate: every fact in a sentence that names the thing; qa: every fact as question and answer; one: a single fact;
    talk: fluent sentences without a fact; wrong: like restate, with false values.
    """
    name, facts = passage.title, passage.facts
    if style == "talk":
        return "\n".join(line.format(n=name) for line in rng.sample(EMPTY_TALK, 3))
    wordings = slice(None, -1) if apart else slice(None)
    if style == "one":
        return statement(name, rng.choice(facts), rng, wordings)
    if style == "qa":
        return "\n".join(question_and_answer(name, fact, rng) for fact in facts)
    if style == "wrong":
        facts = tuple(wrong_fact(fact, rng) for fact in facts)
        wordings = slice(-1, None) if apart else slice(None)
    return "\n".join(statement(name, fact, rng, wordings) for fact in facts)


def wrong_fact(fact: Fact, rng: random.Random) -> Fact:
    """Give a fact a false value; for a changed fact often the former one."""
    if fact.former is not None and rng.random() < 0.5:  # noqa: PLR2004 - half of the time
        return Fact(fact.relation, fact.former)
    return Fact(fact.relation, other_value(fact.relation, {fact.value}, rng))
