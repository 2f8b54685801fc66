"""Which answers are the same text: typography makes no difference, signs that carry meaning do."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.graders.number import first_number
from engine.graders.registry import grader_problems
from engine.graders.text_form import canonical, comparable
from engine.guardrails.patterns import pattern_problem

DIFFERENT = [
    ("3.5", "35"), ("-5", "5"), ("1.50", "150"), ("2.5 %", "25 %"), ("10.1.1.2", "10.11.2"), ("1.12", "11.2"),
    ("Plan A", "Plan"), ("C++", "C"), ("C#", "C"), ("12:30", "1230"), ("1/2", "12"), ("10-20", "1020"), (".5", "5"),
    ("blood type A-", "blood type A+"), ("<5 mg", ">5 mg"), ("<5 mg", "5 mg"), ("3,5", "35"), ("2^3", "23"),
    ("±2", "2"), ("2024-01-02", "20240102"), ("the", "A"), ("v1.2", "v12"), ("°C", "°F"),
]  # fmt: skip
SAME = [
    ("café", "cafe\u0301"), ("Zürich", "Zu\u0308rich"), ("Levi’s", "Levi's"), ("“yes”", '"yes"'), ("10–20", "10-20"),
    ("−5", "-5"), ("30 days", "30\u202fdays"), ("zero\u200bwidth", "zerowidth"), ("１０", "10"), ("Straße", "STRASSE"),
    ("ﬁve", "five"), ("The 30 days.", "30 days"), ("1,000,000", "1000000"), ("1 000", "1,000"), ("1\u2009000", "1000"),
    ("well-known", "wellknown"), ("an apple a day; theatre", "apple day theatre"), ("$5", "5"), ("+5", "5"),
    ("A man", "man"), ("yes!", "yes"), ("U.S.", "US"), ("«oui»", "oui"), ("COVID-19", "covid19"), ("(5)", "5"),
    ("5.", "5"), ("5, 6", "5 6"), ("A", "a"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_texts_that_mean_something_else_differ(one: str, other: str) -> None:
    assert comparable(one) != comparable(other)


@pytest.mark.parametrize(("one", "other"), SAME)
def test_texts_that_only_look_different_are_the_same(one: str, other: str) -> None:
    assert comparable(one) == comparable(other)


def test_a_text_of_articles_and_punctuation_is_not_compared_as_empty() -> None:
    assert comparable("...") == "..."
    assert comparable("+") == "+"
    assert comparable("  ") == ""


@given(st.text())
def test_every_unicode_form_of_a_text_is_the_same_text(text: str) -> None:
    forms = {comparable(unicodedata.normalize(form, text)) for form in ("NFC", "NFD", "NFKC", "NFKD")}
    assert len(forms) == 1
    assert canonical(canonical(text)) == canonical(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1 000 000", 1_000_000),
        ("1,000,000", 1_000_000),
        ("5\u202f000 m", 5000),
        ("１２", 12),
        ("−7", -7),
        ("3,5", None),
    ],
)
def test_numbers_with_any_thousands_separator_are_read_whole(text: str, number: int | None) -> None:
    assert first_number(text) == number


def test_a_pattern_that_takes_too_long_on_its_own_answer_is_a_problem() -> None:
    problems = grader_problems("regex", {"pattern": r"x*x*x*x*x*x*x*x*\d"}, ["x" * 500])
    said = "grader 'regex' takes more than a second on an accepted answer; make the pattern simpler"
    assert problems == [("options", said)]


@pytest.mark.parametrize("pattern", ["a(?R)", "(a)(?1)", "(?P<x>a)(?&x)", "(?P<x>a)(?P>x)"])
def test_a_pattern_that_calls_itself_is_refused(pattern: str) -> None:
    [(part, problem)] = grader_problems("regex", {"pattern": pattern}, ["a"])
    assert part == "options"
    assert "calls itself" in problem
    assert "calls itself" in str(pattern_problem(pattern))
