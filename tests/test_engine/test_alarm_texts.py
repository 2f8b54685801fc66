"""Measures of texts: diversity, likeness and copying, as properties of any texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.alarms.measures import copied_share, distinct_share, likeness, mean_likeness, words

WORDS = st.sampled_from(["red", "Blue", "the", "shop", "opens", "at", "nine", "30"])
TEXTS = st.lists(WORDS, max_size=12).map(" ".join)


@given(st.text(max_size=60))
def test_words_are_lower_case_and_contain_no_space(text: str) -> None:
    assert all(word == word.lower() and not word.isspace() and word for word in words(text))


@given(st.lists(TEXTS, max_size=6))
def test_the_distinct_share_is_a_share_and_repeating_the_round_halves_it(texts: list[str]) -> None:
    share = distinct_share(texts)
    if share is None:
        assert all(len(words(text)) < 2 for text in texts)
        return
    assert 0 < share <= 1
    assert distinct_share(texts * 2) == pytest.approx(share / 2)


@given(TEXTS, TEXTS)
def test_likeness_is_a_symmetric_share_and_1_for_equal_words(first: str, second: str) -> None:
    assert 0 <= likeness(first, second) <= 1
    assert likeness(first, second) == likeness(second, first)
    assert likeness(first, f"  {first.upper()}!") == 1


@given(st.lists(TEXTS, max_size=5))
def test_mean_likeness_does_not_depend_on_the_order(texts: list[str]) -> None:
    found = mean_likeness(texts)
    assert (found is None) == (len(texts) < 2)
    reverse = mean_likeness(texts[::-1])
    assert found == (None if reverse is None else pytest.approx(reverse))


@given(TEXTS, TEXTS, TEXTS)
def test_text_of_the_prompt_counts_as_copied_and_a_longer_prompt_never_lowers_the_share(
    text: str, before: str, after: str
) -> None:
    share = copied_share(text, f"{before} {text} {after}")
    assert share == (None if len(words(text)) < 4 else 1.0)
    less = copied_share(text, before)
    assert less is None or 0 <= less <= 1


def test_an_original_text_copies_nothing_even_with_the_same_words() -> None:
    assert copied_share("nine at opens shop the", "the shop opens at nine") == 0
    assert copied_share("the shop opens at nine and more", "The shop opens at nine.") == pytest.approx(2 / 4)


def test_empty_texts_are_alike_and_unlike_others() -> None:
    assert likeness("", "...") == 1
    assert likeness("", "the shop opens") == 0
