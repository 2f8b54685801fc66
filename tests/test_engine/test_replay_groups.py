"""Which companions stand beside which step."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.bank.job import ReplayGroup, TrainingSequence
from engine.continual.distillation import DistilledExample
from engine.continual.replay_plan import (
    EDITS_TO_FULL_RATIO,
    FIRST_ANCHOR_SHARE,
    FIRST_REPLAY_SHARE,
    NEWEST_SHARE,
    SPELLED_ALIKE_SHARE,
    ReplayPlan,
    ReplayRates,
    interleave_oversampled,
)


def sequences(count: int) -> tuple[TrainingSequence, ...]:
    return tuple(TrainingSequence((token, token)) for token in range(count))


@given(count=st.integers(1, 12), per_step=st.integers(1, 15), steps=st.integers(1, 20), first=st.integers(0, 11))
def test_every_sequence_is_replayed_equally_often_and_never_twice_in_a_step(
    count: int, per_step: int, steps: int, first: int
) -> None:
    group = ReplayGroup(sequences(count), per_step, first=first % count)
    hands = [group.indices_at(step) for step in range(steps)]
    assert all(len(hand) == len(set(hand)) == min(per_step, count) for hand in hands)
    seen = Counter(place for hand in hands for place in hand)
    assert set(seen) <= set(range(count))
    assert max(seen.values()) - min(seen[place] for place in range(count)) <= 1
    assert hands[0][0] == group.first


@given(
    count=st.integers(1, 12),
    parts=st.integers(1, 7),
    whole=st.integers(0, 3),
    first=st.integers(0, 11),
)
def test_a_share_of_a_sequence_is_one_every_few_steps(count: int, parts: int, whole: int, first: int) -> None:
    """In as many steps as there are parts of one each, `whole` in every step and one more in one of them."""
    group = ReplayGroup(sequences(count), whole + 1 / parts, first=first % count)
    hands = [group.indices_at(step) for step in range(parts * 5)]
    each = min(whole + 1 / parts, count)
    assert sum(map(len, hands)) == round(each * parts * 5)
    assert {len(hand) for hand in hands} <= {int(each), int(each) + 1}
    assert all(len(hand) == len(set(hand)) for hand in hands)
    interleave_oversampled = [place for hand in hands for place in hand]
    assert interleave_oversampled == [(group.first + at) % count for at in range(len(interleave_oversampled))]


@given(count=st.integers(30, 300), edits=st.integers(0, 100))
def test_what_one_update_leaves_out_is_replayed_in_a_later_one(count: int, edits: int) -> None:
    """With room for half of them, none waits longer than two updates."""
    groups = [
        ReplayPlan(sequences(count), edits=edits + later).replay_groups(ReplayRates(replayed=1), [])[0]
        for later in range(3)
    ]
    steps = math.ceil(count / 2 / groups[0].per_step)
    seen = {place for group in groups for step in range(steps) for place in group.indices_at(step)}
    assert seen == set(range(count))


@given(
    some=st.integers(0, 60), others=st.integers(0, 200), share=st.sampled_from([0.1, NEWEST_SHARE, SPELLED_ALIKE_SHARE])
)
def test_a_deck_has_all_others_once_and_some_as_their_share(some: int, others: int, share: float) -> None:
    every = sequences(some + others)
    deck = interleave_oversampled(every[:some], every[some:], share)
    share = max(share, some / max(1, some + others))
    counts = Counter(one.tokens[0] for one in deck)
    assert set(counts) == set(range(some + others))
    assert all(counts[place] == 1 for place in range(some, some + others))
    times = [counts[place] for place in range(some)]
    assert max(times, default=0) - min(times, default=0) <= 1
    if some and others:
        assert sum(times) == pytest.approx(share * len(deck), abs=1)
        first = [one.tokens[0] < some for one in deck[: len(deck) // 2]]
        assert sum(first) == pytest.approx(share * len(first), abs=1)


def test_more_edits_mean_more_replay_up_to_the_configured_rate() -> None:
    one = sequences(1)
    beside = ReplayRates(replayed=3.0, anchors=1.0, perturbed_anchors=0.5)
    distilled = (DistilledExample(one[0], ()),)
    numbers = [
        [group.per_step for group in ReplayPlan(one, (), one, distilled, edits=edits).replay_groups(beside, [])]
        for edits in range(EDITS_TO_FULL_RATIO + 9)
    ]
    assert numbers[0] == pytest.approx([3.0 * FIRST_REPLAY_SHARE, 1.0 * FIRST_ANCHOR_SHARE, 0.5 * FIRST_ANCHOR_SHARE])
    for fewer, more in itertools.pairwise(numbers[: EDITS_TO_FULL_RATIO + 1]):
        assert all(one < other for one, other in zip(fewer, more, strict=True))
    assert all(each == pytest.approx([3.0, 1.0, 0.5]) for each in numbers[EDITS_TO_FULL_RATIO:])


def test_the_newest_edits_come_up_more_often_once_there_are_many() -> None:
    every = sequences(100)
    [few] = ReplayPlan(every[:20], every[20:40], edits=9).replay_groups(ReplayRates(replayed=5), [])
    [many] = ReplayPlan(every[:80], every[80:], edits=25).replay_groups(ReplayRates(replayed=5), [])
    assert Counter(few.sequences) == Counter(every[:40])
    newest = sum(one in every[80:] for one in many.sequences)
    assert newest == pytest.approx(NEWEST_SHARE * len(many.sequences), abs=1)


def test_perturbed_anchors_spelled_like_the_update_are_half_of_those_used() -> None:
    one, other, third = (DistilledExample(sequence, (name,), parts) for sequence, name, parts in zip(
        sequences(3), ("Menzorp", "Solpid", "Kelfux"), (("Men", "zorp"), ("Sol", "pid"), ("Kel", "fux")), strict=True,
    ))  # fmt: skip
    protection = ReplayPlan(perturbed_anchors=(third, one, other))
    beside = ReplayRates(perturbed_anchors=1.0)
    [every] = protection.replay_groups(beside, ["Who runs it?"])
    assert every.sequences == (third.sequence, one.sequence, other.sequence)
    four = ReplayPlan(
        perturbed_anchors=(third, DistilledExample(third.sequence, ("Kelmar",), ("Kel", "mar")), one, other)
    )
    [all_of_them] = four.replay_groups(beside, ["Who runs Menpid?"])
    assert Counter(all_of_them.sequences) == {third.sequence: 2, one.sequence: 1, other.sequence: 1}
