"""The kind `topics`: whole words, whatever their case, accents and invisible characters."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from engine.guardrails.texts import folded_words
from tests.test_engine.guardrail_texts import PROSE, WORDS, found, rule, task_with, verdict


@given(PROSE, st.sampled_from(["merger", "MERGER", "Mérgér", "mer\u200bger", "ｍｅｒｇｅｒ", "me\u0301rger"]), PROSE)
def test_a_word_is_found_whatever_its_case_accents_and_invisible_characters(before: str, word: str, after: str) -> None:
    assume("merger" not in folded_words(f"{before} {after}"))
    (match,) = verdict(rule("topics", words=["merger"]), f"{before}\n{word} {after}").evidence["matches"]
    assert (match["line"], match["text"]) == (2, "merger")


@given(WORDS, WORDS, WORDS)
def test_only_whole_words_in_their_order_are_found(first: str, second: str, other: str) -> None:
    assume(len({first, second, other}) == 3)
    one = rule("topics", words=[f"{first} {second}"])
    assert found(one, f"{first},\n{second}") == [f"forbidden words: {first} {second}"]
    for text in (f"{first} {other} {second}", f"{second} {first}", f"x{first} {second}", f"{first} {second}x", first):
        assert found(one, text) == []


def test_topics_in_scripts_without_spaces_and_whether_the_document_has_them() -> None:
    one = rule("topics", words=["爆弾", "Große Fusion"])
    assert found(one, "これは爆弾です") == ["forbidden words: 爆弾"]
    assert found(one, "これは爆です") == []
    matches = verdict(one, "GROSSE fusion 爆弾", [], task_with("die grosse Fusion")).evidence["matches"]
    assert [(match["text"], match["in_document"]) for match in matches] == [("爆弾", False), ("Große Fusion", True)]
