"""Kinds of things, their relations, and every way in which the bundled language describes them.

Statements name the thing and are what a good self-edit says. Passage clauses say the same with pronouns and other
words, so a bare passage teaches less than its restatement. Changes are the sentences of release notes.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from engine.bundled.vocabulary import VALUES, all_names, is_new_name


@dataclass(frozen=True, slots=True)
class Relation:
    """One property of a kind of thing; {n} is the name, {v} the value, {o} the former value."""

    name: str
    value_type: str
    questions: tuple[str, ...]
    statements: tuple[str, ...]
    clauses: tuple[str, ...]
    change: str


@dataclass(frozen=True, slots=True)
class ThingKind:
    """A kind of thing: how a passage introduces it, its relations, and filler sentences about it."""

    name: str
    openers: tuple[str, ...]
    relations: tuple[Relation, ...]


DEVICE = ThingKind(
    "device",
    ("{n} is a new device.", "This page is about the device {n}.", "The catalogue lists {n} as a device."),
    (
        Relation(
            "city",
            "city",
            ("Where is {n} made?", "Which city is {n} made in?"),
            ("{n} is made in {v}.", "The city where {n} is made is {v}.", "The makers of {n} work in {v}."),
            ("It leaves a workshop in {v}.", "Each one is put together in {v}."),
            "It is now made in {v}, was {o}.",
        ),
        Relation(
            "colour",
            "colour",
            ("What colour is {n}?", "Which colour does {n} have?"),
            ("The colour of {n} is {v}.", "{n} has the colour {v}.", "{n} is painted {v}."),
            ("Its shade is {v}.", "Buyers get it in {v}."),
            "Its colour is now {v}, was {o}.",
        ),
        Relation(
            "battery",
            "number",
            ("How many days does the battery of {n} last?", "How long in days is the battery life of {n}?"),
            (
                "The battery of {n} lasts {v} days.",
                "The battery life of {n} is {v} days.",
                "{n} has a battery for {v} days.",
            ),
            ("One charge is good for {v} days.", "It runs {v} days before it is plugged in."),
            "Its battery now lasts {v} days, was {o}.",
        ),
        Relation(
            "material",
            "material",
            ("What is {n} built from?", "Which material is {n} built from?"),
            ("{n} is built from {v}.", "The material of {n} is {v}.", "The material that {n} is built from is {v}."),
            ("Its body is all {v}.", "The shell is cut out of {v}."),
            "It is now built from {v}, was {o}.",
        ),
        Relation(
            "designer",
            "person",
            ("Who designed {n}?", "Who is the designer of {n}?"),
            ("{n} was designed by {v}.", "The designer of {n} is {v}.", "The design of {n} is by {v}."),
            ("The plans were drawn by {v}.", "Its looks come from the desk of {v}."),
            "Its designer is now {v}, was {o}.",
        ),
    ),
)

SERVICE = ThingKind(
    "service",
    ("{n} is an internal service.", "This page is about the service {n}.", "The registry lists {n} as a service."),
    (
        Relation(
            "host",
            "city",
            ("Where is {n} hosted?", "Which city is {n} hosted in?"),
            ("{n} is hosted in {v}.", "The city where {n} is hosted is {v}.", "The host of {n} stands in {v}."),
            ("Its servers hum in {v}.", "Traffic goes to a data centre in {v}."),
            "It is now hosted in {v}, was {o}.",
        ),
        Relation(
            "team",
            "team",
            ("Which team runs {n}?", "What is the team behind {n}?"),
            ("{n} is run by team {v}.", "The team behind {n} is {v}.", "The team that runs {n} is {v}."),
            ("Pages at night go to {v}.", "It belongs to the people of {v}."),
            "It is now run by team {v}, was {o}.",
        ),
        Relation(
            "retention",
            "number",
            ("How many days does {n} keep its logs?", "For how many days are the logs of {n} kept?"),
            (
                "{n} keeps its logs for {v} days.",
                "The logs of {n} are kept for {v} days.",
                "The time {n} keeps its logs is {v} days.",
            ),
            ("Old lines are wiped after {v} days.", "One can look back {v} days at most."),
            "Its logs are now kept for {v} days, was {o}.",
        ),
        Relation(
            "owner",
            "person",
            ("Who is the owner of {n}?", "Who owns {n}?"),
            ("{n} is owned by {v}.", "The owner of {n} is {v}.", "The person who owns {n} is {v}."),
            ("The last word is with {v}.", "Changes are signed off by {v}."),
            "Its owner is now {v}, was {o}.",
        ),
        Relation(
            "language",
            "language",
            ("Which language is {n} written in?", "What is the language of {n}?"),
            ("{n} is written in {v}.", "The language of {n} is {v}.", "The code of {n} is written in {v}."),
            ("Its sources are pure {v}.", "Whoever mends it must know {v}."),
            "It is now written in {v}, was {o}.",
        ),
    ),
)

REMEDY = ThingKind(
    "remedy",
    ("{n} is a remedy of the house.", "This page is about the remedy {n}.", "The pharmacy lists {n} as a remedy."),
    (
        Relation(
            "dose",
            "number",
            ("How many drops are the dose of {n}?", "What is the dose of {n} in drops?"),
            ("The dose of {n} is {v} drops.", "{n} has a dose of {v} drops.", "A dose of {n} has {v} drops."),
            ("Patients get {v} drops at a time.", "Count {v} drops into the spoon."),
            "Its dose is now {v} drops, was {o}.",
        ),
        Relation(
            "plant",
            "plant",
            ("Which plant is {n} made of?", "What is the plant in {n}?"),
            ("{n} is made of {v}.", "The plant in {n} is {v}.", "The plant that {n} is made of is {v}."),
            ("It is pressed out of {v}.", "All of its strength comes from {v}."),
            "It is now made of {v}, was {o}.",
        ),
        Relation(
            "drink",
            "drink",
            ("What is {n} taken with?", "Which drink is {n} taken with?"),
            ("{n} is taken with {v}.", "The drink for {n} is {v}.", "The drink that {n} is taken with is {v}."),
            ("Stir it into a cup of {v}.", "It goes down best in {v}."),
            "It is now taken with {v}, was {o}.",
        ),
        Relation(
            "ward",
            "ward",
            ("Which ward uses {n}?", "What is the ward that uses {n}?"),
            ("{n} is used in ward {v}.", "The ward that uses {n} is {v}.", "The ward of {n} is {v}."),
            ("The bottles stand in {v}.", "Nurses ask for it in {v}."),
            "It is now used in ward {v}, was {o}.",
        ),
        Relation(
            "doctor",
            "person",
            ("Who approves {n}?", "Who is the doctor who approves {n}?"),
            ("{n} is approved by {v}.", "The doctor who approves {n} is {v}.", "The approval of {n} is by {v}."),
            ("Nothing is given before a word from {v}.", "The slip needs the name of {v}."),
            "It is now approved by {v}, was {o}.",
        ),
    ),
)

KINDS = (DEVICE, SERVICE, REMEDY)

EMPTY_TALK = (
    "{n} is well known to many people.",
    "There is much to say about {n}.",
    "People talk about {n} a lot.",
    "{n} is worth a closer look.",
    "This passage tells us about {n}.",
    "Many readers will find {n} useful.",
    "It is good to know about {n}.",
    "{n} matters to those who need it.",
    "One should keep {n} in mind.",
    "The story of {n} goes on.",
)


@dataclass(frozen=True, slots=True)
class Thing:
    """A named thing with one value for each relation of its kind; `values` is keyed by relation name."""

    name: str
    kind: ThingKind
    values: dict[str, str] = field(hash=False)

    def value(self, relation: Relation) -> str:
        """Return the value that this thing has for a relation of its kind."""
        return self.values[relation.name]


def random_thing(name: str, rng: random.Random) -> Thing:
    """Draw a kind and values for a name."""
    kind = rng.choice(KINDS)
    return Thing(name, kind, {relation.name: rng.choice(VALUES[relation.value_type]) for relation in kind.relations})


def known_things(count: int = 300) -> list[Thing]:
    """Return the things whose facts the bundled model has in its weights; always the same."""
    rng = random.Random("known things")
    names = rng.sample([name for name in all_names() if not is_new_name(name)], count)
    return [random_thing(name, rng) for name in names]


def reading_names() -> list[str]:
    """Return names for reading exercises, neither new nor known, whose facts differ with each use."""
    known = {thing.name for thing in known_things()}
    return [name for name in all_names() if not is_new_name(name) and name not in known]


def new_things(count: int, seed: int) -> list[Thing]:
    """Return things whose names never occur in the corpus, with random facts; for tasks, demos and measurements."""
    rng = random.Random(f"new things {seed}")
    names = rng.sample([name for name in all_names() if is_new_name(name)], count)
    return [random_thing(name, rng) for name in names]
