"""The kind `language`: languages and scripts that are not allowed; made-up names never count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.test_engine.guardrail_texts import found, rule, verdict

GERMAN = "die kleine tasse steht auf dem tisch und sie ist heute wieder sehr schön blau, weil sie neu gestrichen wurde"
ENGLISH = "the small cup stands on the table and it is very nicely blue again today because it has been painted anew"


def test_a_language_that_is_not_allowed_is_found() -> None:
    one = rule("language", languages=["en"])
    assert verdict(one, ENGLISH).passed
    (told,) = found(one, GERMAN)
    assert told.startswith("language: de (")
    assert verdict(rule("language", languages=["en", "de"]), GERMAN).passed
    assert verdict(rule("language", languages=["en"], fewest_words=50), GERMAN).passed
    assert verdict(one, GERMAN[:30]).passed


@given(st.lists(st.from_regex(r"[A-Z][a-z]{2,9}", fullmatch=True), max_size=30))
def test_invented_names_never_count(names: list[str]) -> None:
    assert verdict(rule("language", languages=["en"], scripts=["Latin"]), " ".join(names)).passed
    assert verdict(rule("language", languages=["de"]), " 12 ".join(names)).passed


@pytest.mark.parametrize(
    ("text", "passes"), [("blue cups", True), ("синие чашки", False), ("cups, 12 €!", True), ("", True)]
)
def test_scripts_that_are_not_allowed_are_found(text: str, passes: bool) -> None:
    assert verdict(rule("language", scripts=["Latin"]), text).passed == passes


def test_a_few_letters_of_other_scripts_may_be_there() -> None:
    assert verdict(rule("language", scripts=["Latin"]), "the angle α is " + "small " * 10).passed
    assert not verdict(rule("language", scripts=["Latin"], other_scripts=0), "the angle α is " + "small " * 10).passed
