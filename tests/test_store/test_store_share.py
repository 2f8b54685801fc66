"""Shares with their uncertainty."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.share import Share, wilson_interval


def test_wilsons_interval_has_the_values_of_the_literature() -> None:
    # Newcombe 1998, Statistics in Medicine 17, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    for (right, of), expected in {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }.items():
        assert wilson_interval(right / of, of, 1.959964) == pytest.approx(expected, abs=5e-5)


@given(units=st.integers(1, 50), each=st.integers(1, 10), data=st.data())
def test_the_interval_holds_the_share_and_counts_units_not_answers(units: int, each: int, data: st.DataObject) -> None:
    answers = units * each
    share = Share(data.draw(st.integers(0, answers)), answers, units)
    low, high = share.interval()
    assert 0 <= low <= share.value <= high <= 1
    more_answers = Share(10 * share.right, 10 * answers, units)
    assert more_answers.interval() == pytest.approx((low, high))


def test_nothing_counted_says_nothing() -> None:
    assert wilson_interval(0.0, 0, 1.96) == (0.0, 1.0)
