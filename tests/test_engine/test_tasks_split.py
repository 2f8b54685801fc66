from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from engine.tasks.records import split_questions

if TYPE_CHECKING:
    from store.records import Split

TEXTS = st.lists(st.text(max_size=12), min_size=1, max_size=8, unique=True)
SHARES = st.floats(0, 1)


def undemanded(texts: list[str]) -> list[tuple[str, Split | None]]:
    return [(text, None) for text in texts]


@given(TEXTS, SHARES, st.text(max_size=5))
def test_the_first_question_gives_the_reward(texts: list[str], share: float, title: str) -> None:
    assert split_questions(title, undemanded(texts), share)[0] == "reward"


@given(TEXTS, TEXTS, SHARES)
def test_adding_questions_moves_no_other(texts: list[str], more: list[str], share: float) -> None:
    before = split_questions("t", undemanded(texts), share)
    assert split_questions("t", undemanded(texts + more), share)[: len(texts)] == before


@given(TEXTS, SHARES)
def test_the_side_of_all_except_the_first_depends_on_content_not_on_order(texts: list[str], share: float) -> None:
    first, *others = texts
    sides = dict(zip(others, split_questions("t", undemanded(texts), share)[1:], strict=True))
    turned = [first, *reversed(others)]
    assert dict(zip(turned[1:], split_questions("t", undemanded(turned), share)[1:], strict=True)) == sides


@given(TEXTS, SHARES, SHARES)
def test_a_larger_share_only_adds_to_the_audit(texts: list[str], one: float, other: float) -> None:
    small, large = sorted((one, other))
    pairs = zip(
        split_questions("t", undemanded(texts), small), split_questions("t", undemanded(texts), large), strict=True
    )
    assert all(few == "reward" or many == "audit" for few, many in pairs)


def test_shares() -> None:
    texts = [f"question {number}" for number in range(2001)]
    assert set(split_questions("t", undemanded(texts), 0)) == {"reward"}
    assert set(split_questions("t", undemanded(texts), 1)[1:]) == {"audit"}
    assert 0.2 < split_questions("t", undemanded(texts), 0.25).count("audit") / 2000 < 0.3


def test_a_named_side_is_kept_and_the_first_other_question_gives_the_reward() -> None:
    questions: list[tuple[str, Split | None]] = [("a", "audit"), ("b", None), ("c", "reward"), ("d", None)]
    assert split_questions("t", questions, 1) == ["audit", "reward", "reward", "audit"]
