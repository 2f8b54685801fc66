from __future__ import annotations

import sqlite3
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seal_console.queries.filters import Field, parse_filter
from store.errors import WrongUseError

FIELDS = {"title": Field("title"), "reward": Field("reward", "number")}
ROWS = [("Oslo lamp", 0.5), ("Rome 100% lamp", -0.25), ("a_b", 0.0), ("axb", 1.0)]


def found(text: str) -> list[str]:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE rows (title TEXT, reward REAL)")
    connection.executemany("INSERT INTO rows VALUES (?, ?)", ROWS)
    condition = parse_filter(text, FIELDS, ["title"])
    query = f"SELECT title FROM rows WHERE {condition.sql}"  # noqa: S608 - that it is safe is what is tested
    rows = connection.execute(query, condition.parameters).fetchall()
    connection.close()
    return [title for (title,) in rows]


@pytest.mark.parametrize(
    ("text", "titles"),
    [
        ("", ["Oslo lamp", "Rome 100% lamp", "a_b", "axb"]),
        ("lamp", ["Oslo lamp", "Rome 100% lamp"]),
        ("lamp -rome", ["Oslo lamp"]),
        ('"oslo lamp"', ["Oslo lamp"]),
        ("100%", ["Rome 100% lamp"]),
        ("a_b", ["a_b"]),
        ("title=axb", ["axb"]),
        ("title:lamp reward>0", ["Oslo lamp"]),
        ("reward<=0", ["Rome 100% lamp", "a_b"]),
        ("-reward<0.5", ["Oslo lamp", "axb"]),
        ("reward:1", ["axb"]),
    ],
)
def test_what_a_filter_finds(text: str, titles: list[str]) -> None:
    assert found(text) == titles


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("rewad>1", "did you mean 'reward'"),
        ("reward>much", "is a number, not"),
        ("reward>nan", "finite"),
        ("title>3", "is text"),
        ('"open', "quote"),
        ("-", "without a word"),
    ],
)
def test_a_filter_that_cannot_be_read_says_why(text: str, why: str) -> None:
    with pytest.raises(WrongUseError) as raised:
        parse_filter(text, FIELDS, ["title"])
    assert why in raised.value.message


@given(st.text(max_size=60))
def test_any_text_is_a_filter_or_a_clear_refusal(text: str) -> None:
    with suppress(WrongUseError):
        assert set(found(text)) <= {title for title, _ in ROWS}


@given(st.text(min_size=1, max_size=20).filter(lambda word: '"' not in word and word.strip()))
def test_a_quoted_word_is_found_raw(word: str) -> None:
    condition = parse_filter(f'"{word}"', FIELDS, ["?"])
    connection = sqlite3.connect(":memory:")
    sql = f"SELECT {condition.sql}"
    hit = connection.execute(sql, (f"before {word} after", *condition.parameters)).fetchone()
    connection.close()
    assert hit == (1,)
