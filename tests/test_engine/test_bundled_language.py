from __future__ import annotations

import itertools
import random

import pytest

from engine.bundled.vocabulary import VALUES, all_names, is_new_name
from engine.bundled.world import known_things, new_things, random_thing, reading_names
from engine.bundled.writing import STYLES, Style, passage_about, release_note, self_edit
from engine.lab.bundled_model.corpus import ExerciseBook
from engine.lab.bundled_model.measure import read_style
from engine.lab.bundled_model.tokenizer import build_tokenizer
from engine.lab.bundled_model.train import IGNORED, encode


def test_every_value_and_name_is_what_the_tokenizer_was_made_for() -> None:
    tokenizer = build_tokenizer()
    values = [value for of_type in VALUES.values() for value in of_type]
    assert len(set(values)) == len(values)
    assert all(len(tokenizer.encode(f" {value}")) == 1 for value in values)
    for name in all_names():
        assert len(tokenizer.encode(name)) == len(tokenizer.encode(f" {name}")) == 2


@pytest.mark.parametrize("text", ["Größe: 12 µm\n\n  “x”\t日本", "Oslosh 1300 Inside", "", "<|x|>"])
def test_text_outside_the_language_survives(text: str) -> None:
    tokenizer = build_tokenizer()
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_new_names_are_never_in_the_corpus() -> None:
    new = {name for name in all_names() if is_new_name(name)}
    known = {thing.name for thing in known_things()}
    assert len(new) > 500
    assert not new & (known | set(reading_names()))
    assert not known & set(reading_names())
    exercises = ExerciseBook(3).exercises(clean_only=False)
    words = {
        word.strip(".?,")
        for exercise in itertools.islice(exercises, 3000)
        for word in f"{exercise.prompt} {exercise.completion}".split()
    }
    assert not new & words
    assert known & words


def test_the_world_is_the_same_each_time() -> None:
    assert known_things() == known_things()
    assert new_things(5, 1) == new_things(5, 1) != new_things(5, 2)


@pytest.mark.parametrize("style", STYLES)
def test_each_style_is_recognised_as_itself(style: Style) -> None:
    rng = random.Random(0)
    for thing in new_things(30, 7):
        passage = passage_about(thing, rng)
        text = self_edit(passage, style, rng)
        found, right, of = read_style(text, passage)
        assert found == style
        if style in ("restate", "qa"):
            assert right == of == 2 * len(passage.facts)


def test_a_slip_in_a_restatement_is_counted() -> None:
    rng = random.Random(0)
    [thing] = new_things(1, 7)
    passage = passage_about(thing, rng)
    lines = self_edit(passage, "qa", rng).split("\n")
    other = next(v for v in VALUES[passage.facts[0].relation.value_type] if v != passage.facts[0].value)
    lines[1] = f"Answer: {other}"
    assert read_style("\n".join(lines), passage) == ("qa", 9, 10)
    assert read_style("Xyz " + "\n".join(lines), passage)[0] == "other"


def test_release_notes_change_some_facts() -> None:
    rng = random.Random(0)
    thing = random_thing("Zorvek", rng)
    note = release_note(thing, rng, 2)
    assert len(note.facts) == 2
    for fact in note.facts:
        assert fact.former == thing.value(fact.relation) != fact.value
        assert f"{fact.value}" in note.text
        assert f"was {fact.former}" in note.text


def test_only_completions_are_learnt() -> None:
    tokenizer = build_tokenizer()
    exercise = next(ExerciseBook(0).exercises(clean_only=True))
    tokens, labels = encode(exercise, tokenizer)
    prompt = len(tokenizer.encode(exercise.prompt))
    assert labels[:prompt] == [IGNORED] * prompt
    assert labels[prompt:] == tokens[prompt:]
    assert tokens[-1] == tokenizer.eos_token_id
