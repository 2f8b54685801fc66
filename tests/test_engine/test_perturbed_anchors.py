"""Made-up names that stand for things no anchor is about."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.bank.encode import encode_example
from engine.bank.job import TrainingSequence
from engine.continual.perturbed_anchors import RARE, perturb_anchors
from engine.domains.domain import TrainingExample
from engine.domains.knowledge.compile import answer_start
from engine.lab.forgetting.lineages import anchor_texts, naming_nothing_known
from engine.model.base import BaseModel, load_base

COUNT = 400
ANCHORS = st.lists(
    st.builds(
        lambda tokens, first: TrainingSequence(tuple(tokens), min(first, len(tokens) - 1)),
        st.lists(st.integers(2, 1100), min_size=2, max_size=12),
        st.integers(0, 12),
    ),
    max_size=12,
)


def encoded(base: BaseModel, text: str) -> TrainingSequence | None:
    return encode_example(base, TrainingExample(text, answer_start(text)))


@pytest.fixture(scope="module")
def base() -> BaseModel:
    return load_base("bundled")


@pytest.fixture(scope="module")
def anchors(base: BaseModel) -> list[TrainingSequence]:
    return [one for text in anchor_texts(0, COUNT) if (one := encoded(base, text)) is not None]


def test_only_names_are_replaced(base: BaseModel, anchors: list[TrainingSequence]) -> None:
    found = perturb_anchors(base, anchors)
    assert found == perturb_anchors(base, anchors)
    assert len(found) > 0.6 * COUNT
    texts = base.tokenizer.batch_decode([one.sequence.tokens for one in found])
    assert sum(naming_nothing_known(texts)) > 0.85 * len(texts)
    unchanged = {text.rstrip("\n").partition("Answer:")[2] for text in anchor_texts(0, COUNT)}
    for text, one in zip(texts, found, strict=True):
        assert one.named
        assert all(re.fullmatch(r"\w+", name) and name in text for name in one.named)
        assert all(any(part in name for name in one.named) for part in one.parts)
        assert len("".join(one.parts)) >= len(min(one.named, key=len))
        question, _, answer = text.removesuffix("<|endoftext|>").partition("Answer:")
        assert question.startswith("Question: ")
        assert answer in unchanged
        assert base.tokenizer.decode(one.asked) == f"{question}Answer:"


def test_each_differs_from_its_anchor_at_rare_tokens(base: BaseModel, anchors: list[TrainingSequence]) -> None:
    by_frame = {(len(one.tokens), one.loss_start, one.tokens[one.loss_start :]) for one in anchors}
    counts: dict[int, int] = {}
    for one in anchors:
        for token in set(one.tokens[: one.loss_start]):
            counts[token] = counts.get(token, 0) + 1
    originals = {one.tokens for one in anchors}
    found = [one.sequence for one in perturb_anchors(base, anchors)]
    for one in found:
        assert (len(one.tokens), one.loss_start, one.tokens[one.loss_start :]) in by_frame
        assert any(counts[token] <= RARE * COUNT for token in one.tokens[: one.loss_start])
    assert sum(one.tokens in originals for one in found) < 0.05 * COUNT


def test_in_plain_text_the_distribution_after_the_last_replaced_word_is_distilled(base: BaseModel) -> None:
    texts = [
        f"The box {number} holds the cups of {name}." for number, name in enumerate(("Palmar", "Solfux", "Zorkel"))
    ]
    anchors = [one for text in texts for one in [encoded(base, text)] * 20 if one is not None]
    common = [one for text in ["The box holds the cups of it."] for one in [encoded(base, text)] * 3000 if one]
    found = perturb_anchors(base, [*anchors, *common])
    assert len(found) == len(anchors)
    for one in found:
        text, asked = base.tokenizer.decode(one.sequence.tokens), base.tokenizer.decode(one.asked)
        assert text.startswith(asked)
        assert asked.endswith(one.named)


def test_without_rare_tokens_there_are_none(base: BaseModel) -> None:
    same = [TrainingSequence(tuple(base.encoder.training("Question: Where is it?\nAnswer: here")), 3)] * 200
    assert perturb_anchors(base, same) == []
    assert perturb_anchors(base, []) == []


@given(ANCHORS, st.integers(0, 9))
def test_whatever_the_anchors_each_keeps_its_length_and_what_is_learnt(
    base: BaseModel, drawn: list[TrainingSequence], seed: int
) -> None:
    random.Random(seed).shuffle(drawn)
    every = {token for one in drawn for token in one.tokens}
    found = perturb_anchors(base, drawn)
    assert len(found) <= len(drawn)
    for perturbed in found:
        one = perturbed.sequence
        assert perturbed.asked == one.tokens[: len(perturbed.asked)]
        assert 0 < len(perturbed.asked) < len(one.tokens)
        assert every.issuperset(one.tokens)
        assert any(
            len(one.tokens) == len(anchor.tokens)
            and one.loss_start == anchor.loss_start
            and (one.loss_start <= 1 or one.tokens[one.loss_start :] == anchor.tokens[anchor.loss_start :])
            for anchor in drawn
        )
