"""The tests behind the alarms: they count every permutation and keep their false-alarm rate."""

from __future__ import annotations

import random
from itertools import combinations, product

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engine.alarms.chance import combined_p_value, fall, fall_p_value, least_share, paired_fall_p_value, rise
from engine.gates.retention import paired_p_value

SMALL = st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=1, max_size=6)
BY_TASK = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from([0.0, 0.2, 0.5, 1.0]), max_size=8)


@given(SMALL, SMALL)
def test_every_assignment_to_the_two_rounds_is_counted(before: list[float], now: list[float]) -> None:
    pool = before + now
    deals = list(combinations(range(len(pool)), len(now)))
    as_low = sum(sum(pool[at] for at in deal) <= sum(now) + 1e-9 for deal in deals)
    assert fall_p_value(before, now) == pytest.approx(as_low / len(deals))


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.sampled_from([0.0, 0.25, 0.5, 1.0])), max_size=7))
def test_every_swap_within_pairs_is_counted(pairs: list[tuple[float, float]]) -> None:
    changes = [one - other for one, other in pairs]
    signs = list(product((1, -1), repeat=len(changes)))
    as_deep = sum(
        sum(sign * abs(change) for sign, change in zip(flips, changes, strict=True)) >= sum(changes) - 1e-9
        for flips in signs
    )
    found = paired_fall_p_value([one for one, _ in pairs], [other for _, other in pairs])
    assert found == pytest.approx(as_deep / len(signs))


@given(st.integers(0, 30), st.integers(0, 30))
def test_changes_of_one_size_are_the_sign_test(fell: int, rose: int) -> None:
    before, now = [1.0] * fell + [0.0] * rose, [0.0] * fell + [1.0] * rose
    assert paired_fall_p_value(before, now) == paired_p_value(fell, rose)


@given(BY_TASK, BY_TASK)
def test_a_rise_is_the_opposite_of_a_fall(before: dict[str, float], now: dict[str, float]) -> None:
    there, back = fall(before, now), rise(now, before)
    assert (there is None) == (back is None) == (not before or not now)
    if there is not None and back is not None:
        assert 0 <= there.p_value <= 1
        assert there.by == pytest.approx(-back.by)
        if there.same_tasks:
            assert there.p_value == pytest.approx(back.p_value)


@given(st.integers(0, 50), st.integers(0, 50), st.floats(0.001, 0.4))
def test_the_least_share_is_below_the_share_and_approaches_it_with_more_counts(
    count: int, others: int, significance: float
) -> None:
    assume(count + others)
    share, least = count / (count + others), least_share(count, count + others, significance)
    assert 0 <= least <= share + 1e-12
    assert least_share(10 * count, 10 * (count + others), significance) >= least - 1e-12
    assert least_share(0, 0, significance) == 0


@given(st.floats(1e-9, 1), st.floats(1e-9, 1))
def test_combining_two_tests_is_symmetric_and_at_least_as_certain_as_neither(first: float, second: float) -> None:
    assert combined_p_value([first, second]) == pytest.approx(combined_p_value([second, first]))
    assert first * second <= combined_p_value([first, second]) <= 1
    assert combined_p_value([first]) == first


@pytest.mark.parametrize("paired", [True, False])
def test_by_chance_alone_a_fall_is_found_no_more_often_than_the_level(paired: bool) -> None:
    rng, rounds, level = random.Random("chance"), 1500, 0.05
    seen = 0
    for _ in range(rounds):
        before, now = ([rng.randint(0, 5) / 5 for _ in range(8)] for _ in range(2))
        p_value = paired_fall_p_value(before, now) if paired else fall_p_value(before, now)
        seen += p_value <= level
    assert seen / rounds <= level * 1.35


def test_few_tasks_prove_nothing_and_many_do() -> None:
    few = fall({"a": 1.0, "b": 1.0}, {"a": 0.0, "b": 0.0})
    many = fall(dict.fromkeys("abcdefghij", 1.0), dict.fromkeys("abcdefghij", 0.0))
    assert few is not None
    assert many is not None
    assert (few.p_value, many.p_value) == (0.25, 2**-10)
    others = fall(dict.fromkeys("abcdefghij", 1.0), dict.fromkeys("ABCDEFGHIJ", 0.0))
    assert others is not None
    assert not others.same_tasks
    assert others.p_value < 1e-4


def test_large_rounds_are_compared_too() -> None:
    before = {f"a{at}": (at % 7) / 6 for at in range(400)}
    now = {f"b{at}": (at % 7) / 9 for at in range(400)}
    found = fall(before, now)
    assert found is not None
    assert found.p_value < 1e-6
