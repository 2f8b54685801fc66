"""Which companions stand beside which step."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from engine.bank.job import Companions, InnerJob, Recipe, TrainingSequence, companions_of
from tests.peft_alone import random_job, tiny_base, tiny_spec


def job_beside(sequences: int, each_step: int, *, steps: int, seed: int) -> InnerJob:
    beside = tuple(TrainingSequence((token, token)) for token in range(sequences))
    plain = random_job("one", tiny_spec(tiny_base("qwen2")), Recipe(epochs=steps), 1)
    return replace(plain, seed=seed, companions=(Companions(beside, each_step),))


@given(st.integers(1, 12), st.integers(1, 15), st.integers(1, 20), st.integers(0, 5))
def test_every_companion_comes_up_as_often_as_the_others_and_never_twice_in_a_step(
    sequences: int, each_step: int, steps: int, seed: int
) -> None:
    hands = [groups[0] for groups in companions_of(job_beside(sequences, each_step, steps=steps, seed=seed))]
    assert all(len(hand) == len(set(hand)) == min(each_step, sequences) for hand in hands)
    dealt = Counter(card for hand in hands for card in hand)
    assert set(dealt) <= set(range(sequences))
    assert max(dealt.values()) - min(dealt[card] for card in range(sequences)) <= 1


def test_the_order_comes_from_the_seed() -> None:
    first, same, other = (companions_of(job_beside(9, 2, steps=6, seed=seed)) for seed in (1, 1, 2))
    assert first == same
    assert first != other


def test_each_group_is_dealt_by_itself() -> None:
    job = job_beside(4, 2, steps=4, seed=3)
    both = replace(job, companions=(*job.companions, Companions(job.companions[0].sequences[:3], 1)))
    for few, many in companions_of(both):
        assert len(few) == 2
        assert len(many) == 1
