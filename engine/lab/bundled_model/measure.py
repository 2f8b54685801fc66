"""Measures what the bundled model can do: the figures of its card.

All questions are about things drawn from a seed. New things have names that never occur in the corpus.
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.bank.auto import auto_slots
from engine.bank.job import InnerJob, Recipe, TrainingSequence
from engine.bank.training import InnerUpdateBank
from engine.bundled.vocabulary import VALUES
from engine.bundled.world import EMPTY_TALK, Thing, known_things, new_things
from engine.bundled.writing import STYLES, Passage, Style, passage_about, question, self_edit
from engine.domains.knowledge.compile import compile_sequences
from engine.domains.knowledge.templates import exam_prompt, prompt_for
from engine.executors.local import LocalExecutor
from engine.generation.decoding import GenerationRequest, Limits, generate
from engine.generation.prompts import TextPrompt
from engine.generation.sampling import Sampling
from engine.lora.adapter import Adapter, fresh_adapter, make_spec
from engine.settings.sections import ExamSettings

if TYPE_CHECKING:
    from engine.model.base import BaseModel

Narrate = Callable[[str], None]
RECIPE = Recipe(epochs=10, learning_rate=2e-3)
RANK, ALPHA = 16, 32.0


@dataclass(frozen=True, slots=True)
class MeasuredQuestion:
    """A question with its context, if any, and its only correct answer."""

    prompt: str
    expected: str
    value_type: str
    adapter: int = 0


def measure(base: BaseModel, seed: int, narrate: Narrate, *, things: int = 60) -> dict[str, Any]:
    """Measure every ability on `things` things; returns a dictionary of figures (shares, 0 … 1)."""
    rng = random.Random(f"measure {seed}")
    known = rng.sample(known_things(), min(things, len(known_things())))
    new = new_things(things, seed)
    passages = [passage_about(thing, rng) for thing in new]
    narrate("asking without context")
    figures: dict[str, Any] = {
        "known_things": _accuracy(base, _closed_book(known, rng)),
        "new_things": _accuracy(base, _closed_book(new, rng)),
    }
    narrate("asking with the context shown")
    in_context = [
        MeasuredQuestion(f"{passage.title}\n{passage.text}\n\n{asked.prompt}", asked.expected, asked.value_type)
        for thing, passage in zip(new, passages, strict=True)
        for asked in _closed_book([thing], rng)
    ]
    figures["in_context"] = _accuracy(base, in_context)
    figures["in_context_by_value_type"] = _accuracy_by_type(base, in_context)
    for name, edits in _edits(passages, rng).items():
        narrate(f"inner updates on {name}")
        figures[f"after_{name}"] = after_inner_updates(base, new, passages, edits, seed)
    narrate("writing self-edits")
    figures["self_edits"] = measure_writing(base, passages, seed)
    return figures


def _edits(passages: Sequence[Passage], rng: random.Random) -> dict[str, list[str]]:
    edits = {"passage_only": ["" for _ in passages]}
    for style in STYLES:
        edits[style] = [self_edit(passage, style, rng) for passage in passages]
    return edits


def _closed_book(things: Sequence[Thing], rng: random.Random, adapter: int | None = None) -> list[MeasuredQuestion]:
    return [
        MeasuredQuestion(
            exam_prompt(question(thing.name, relation, rng)),
            thing.value(relation),
            relation.value_type,
            index if adapter is None else adapter,
        )
        for index, thing in enumerate(things)
        for relation in thing.kind.relations
    ]


def _right(base: BaseModel, adapters: Sequence[Adapter | None], asked: Sequence[MeasuredQuestion]) -> list[bool]:
    one_state = len(adapters) == 1
    prompts = [
        TextPrompt(one.prompt, 0 if one_state else one.adapter, ExamSettings().max_new_tokens, raw=True)
        for one in asked
    ]
    completions = LocalExecutor(base).complete(prompts, adapters)
    return [found.text == one.expected for found, one in zip(completions, asked, strict=True)]


def _accuracy(base: BaseModel, asked: Sequence[MeasuredQuestion]) -> float:
    return sum(_right(base, [None], asked)) / len(asked)


def _accuracy_by_type(base: BaseModel, asked: Sequence[MeasuredQuestion]) -> dict[str, float]:
    by_type: dict[str, list[bool]] = defaultdict(list)
    for one, right in zip(asked, _right(base, [None], asked), strict=True):
        by_type[one.value_type].append(right)
    return {name: sum(right) / len(right) for name, right in sorted(by_type.items())}


def after_inner_updates(
    base: BaseModel, things: Sequence[Thing], passages: Sequence[Passage], edits: Sequence[str], seed: int
) -> float:
    """Return the accuracy of closed-book answers, each about a thing whose edit the adapter was trained on."""
    spec = make_spec(base.model, rank=RANK, alpha=ALPHA, target_modules="all-linear")
    jobs = []
    for index, (passage, edit) in enumerate(zip(passages, edits, strict=True)):
        lines = compile_sequences(edit, title=passage.title, context=passage.text)
        sequences = tuple(TrainingSequence(tuple(base.encoder.training(line))) for line in lines)
        jobs.append(InnerJob(str(index), sequences, RECIPE, seed + index, fresh_adapter(spec, seed + index)))
    bank = InnerUpdateBank(base, spec, auto_slots(base, spec))
    adapters: list[Adapter | None] = [None] * len(jobs)
    for result in bank.train(jobs):
        adapters[int(result.key)] = result.adapter
    asked = _closed_book(things, random.Random(f"exam {seed}"))
    return sum(_right(base, adapters, asked)) / len(asked)


def measure_writing(base: BaseModel, passages: Sequence[Passage], seed: int, each: int = 4) -> dict[str, Any]:
    """Sample self-edits at temperature 1; return the share of each style, and how exactly they copy."""
    prompts = [prompt_for("implications", passage.title, passage.text) for passage in passages for _ in range(each)]
    requests = [
        GenerationRequest(tuple(base.encoder.text(prompt)), 0, seed * 100_003 + place)
        for place, prompt in enumerate(prompts)
    ]
    tokens = generate(base, [None], requests, Limits(192, base.stop_tokens), Sampling(1.0, 1.0))
    texts = [base.tokenizer.decode(one) for one in tokens]
    styles: Counter[str] = Counter()
    copied, said, fluent = 0, 0, 0
    for place, text in enumerate(texts):
        passage = passages[place // each]
        style, right, values = read_style(text, passage)
        styles[style] += 1
        fluent += style != "other" or is_fluent(text, passage)
        if style in ("restate", "qa"):
            copied, said = copied + right, said + values
    return {
        "styles": {style: styles[style] / len(texts) for style in (*STYLES, "other")},
        "fluent": fluent / len(texts),
        "copied_right_in_good_styles": copied / max(1, said),
    }


def read_style(text: str, passage: Passage) -> tuple[Style | str, int, int]:
    """Recognise a self-edit's style; also returns how many of its values and names are correct, out of how many.

    A restatement with one or two slips still counts as one (its slips lower the copying figure); if most values are
    false it is `wrong`. Text that is none of the styles, not fluent or about something else is `other`.
    """
    lines = text.split("\n")
    if all(line in {talk.format(n=passage.title) for talk in EMPTY_TALK} for line in lines):
        return "talk", 0, 0
    facts = _read_facts(lines, passage)
    if facts is None:
        return "other", 0, 0
    style, named, values = facts
    truth = {fact.relation.name: fact.value for fact in passage.facts}
    right = sum(truth.get(relation) == value for relation, value in values)
    if style == "restate" and len(values) == 1:
        return ("one" if right and named else "wrong"), right, 1
    if 2 * right < len(values):
        return "wrong", right, len(values)
    return style, right + named, 2 * len(values)


def is_fluent(text: str, passage: Passage) -> bool:
    """Return whether every line belongs to the language: of a known form, about any name and with any known value."""
    relations = _relations(passage)
    questions = [form for relation in relations for form in relation.questions]
    forms = [form for relation in relations for form in relation.statements]
    forms += [f"Question: {form}" for form in questions] + ["Answer: {v}", *EMPTY_TALK]
    value = "|".join(re.escape(one) for values in VALUES.values() for one in values)
    patterns = [re.escape(form).replace(r"\{n\}", "[A-Z][a-z]+").replace(r"\{v\}", f"(?:{value})") for form in forms]
    known = re.compile("|".join(patterns))
    return all(known.fullmatch(line) for line in text.split("\n"))


def _read_facts(lines: list[str], passage: Passage) -> tuple[str, int, list[tuple[str, str]]] | None:
    """Return style, how often the name is right, and (relation, value) of each fact; None for an unknown form."""
    if lines and lines[0].startswith("Question: "):
        pairs = ["\n".join(lines[at : at + 2]) for at in range(0, len(lines), 2)]
        forms = [(f"Question: {form}\nAnswer: {{v}}", r) for r in _relations(passage) for form in r.questions]
        style, units = "qa", pairs
    else:
        forms = [(form, r) for r in _relations(passage) for form in r.statements]
        style, units = "restate", lines
    read = [_match(unit, forms, passage.title) for unit in units]
    if any(one is None for one in read):
        return None
    found = [one for one in read if one is not None]
    return style, sum(named for _, _, named in found), [(relation, value) for relation, value, _ in found]


def _relations(passage: Passage) -> tuple[Any, ...]:
    return tuple(fact.relation for fact in passage.facts)


def _match(unit: str, forms: Sequence[tuple[str, Any]], name: str) -> tuple[str, str, bool] | None:
    for form, relation in forms:
        before, _, after = form.replace("{n}", name).partition("{v}")
        if unit.startswith(before) and unit.endswith(after) and len(unit) >= len(before) + len(after):
            value = unit[len(before) : len(unit) - len(after)]
            if value in VALUES[relation.value_type]:
                return relation.name, value, True
    return None
