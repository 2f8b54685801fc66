"""Counts with their noun, and values of records in words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.wording import counted, suggestion, value_in_words

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "text"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b_c"]), inner, max_size=3),
)


@pytest.mark.parametrize(
    ("number", "one", "many", "words"),
    [(1, "task", None, "1 task"), (0, "task", None, "0 tasks"), (1200, "matrix", "matrices", "1,200 matrices")],
)
def test_a_count_agrees_with_its_noun(number: int, one: str, many: str | None, words: str) -> None:
    assert counted(number, one, many) == words


def test_a_value_of_a_record_reads_as_words() -> None:
    value = {"top_p": 0.95, "policy": None, "anchors": {"texts": 3, "kept": True}, "of": ["v0001", "v0002"]}
    assert value_in_words(value) == "top p 0.95, policy none, anchors texts 3, kept yes, of v0001, v0002"


@given(VALUES)
def test_no_value_shows_python(value: object) -> None:
    words = value_in_words(value)
    assert words
    assert not set(words) & set("{}[]()'")
    assert "None" not in words


def test_of_many_names_only_the_nearest_few_are_listed() -> None:
    known = [f"{first}{second}" for first in "abcdefgh" for second in "uvwxyz"]
    said = suggestion("12", known)
    assert said.startswith("48 are known, such as ")
    assert said.count(",") == 5
    assert suggestion("12", known[:3]) == "known: au, av, aw"
