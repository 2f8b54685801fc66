"""Which companions stand beside which step."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.bank.job import Companions, TrainingSequence
from engine.protection import NEWEST_SHARE, Beside, Protection


def sequences(count: int) -> tuple[TrainingSequence, ...]:
    return tuple(TrainingSequence((token, token)) for token in range(count))


@given(count=st.integers(1, 12), each_step=st.integers(1, 15), steps=st.integers(1, 20), first=st.integers(0, 11))
def test_every_companion_comes_up_as_often_as_the_others_and_never_twice_in_a_step(
    count: int, each_step: int, steps: int, first: int
) -> None:
    group = Companions(sequences(count), each_step, first=first % count)
    hands = [group.beside(step) for step in range(steps)]
    assert all(len(hand) == len(set(hand)) == min(each_step, count) for hand in hands)
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
    group = Companions(sequences(count), whole + 1 / parts, first=first % count)
    hands = [group.beside(step) for step in range(parts * 5)]
    each = min(whole + 1 / parts, count)
    assert sum(map(len, hands)) == round(each * parts * 5)
    assert {len(hand) for hand in hands} <= {int(each), int(each) + 1}
    assert all(len(hand) == len(set(hand)) for hand in hands)
    dealt = [place for hand in hands for place in hand]
    assert dealt == [(group.first + at) % count for at in range(len(dealt))]


@given(count=st.integers(30, 300), edits=st.integers(0, 100))
def test_what_one_update_has_no_room_for_comes_up_beside_one_of_the_next(count: int, edits: int) -> None:
    """With room for half of them, none waits longer than two updates."""
    groups = [
        Protection(sequences(count), edits=edits + later).companions(Beside(replayed=1), [])[0] for later in range(3)
    ]
    steps = -(-count // 2)
    seen = {place for group in groups for step in range(steps) for place in group.beside(step)}
    assert seen == set(range(count))


@given(older=st.integers(0, 200), newest=st.integers(0, 60), ratio=st.sampled_from([0.5, 1.0, 2.5, 5.0]))
def test_the_newest_edits_have_their_share_and_what_is_replayed_weighs_the_same(
    older: int, newest: int, ratio: float
) -> None:
    protection = Protection(sequences(older), sequences(newest), edits=16)
    groups = protection.companions(Beside(replayed=ratio), [])
    assert len(groups) == bool(older) + bool(newest)
    if older + newest:
        assert sum(group.weight for group in groups) == pytest.approx(2.0)
    if newest and older >= 30 and newest >= 30:
        share = groups[0].each_step / ratio
        assert share == pytest.approx(max(NEWEST_SHARE, newest / (older + newest)))
        assert sum(group.each_step for group in groups) == pytest.approx(ratio)
        assert groups[0].weight / groups[0].each_step == pytest.approx(groups[1].weight / groups[1].each_step)
