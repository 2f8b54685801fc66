"""The kind `size`: limits and repetition."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from engine.guardrails.size import repetition
from tests.test_engine.guardrail_texts import WORDS, found, rule, verdict


@given(st.lists(WORDS, max_size=8), st.integers(0, 60), st.integers(0, 60))
def test_sizes_pass_at_their_limits_and_fail_beyond(lines: list[str], least: int, most: int) -> None:
    assume(least <= most)
    text = "\n".join(lines)
    one = rule("size", min_characters=least, max_characters=most, min_lines=0, max_lines=4, max_sequences=4)
    finding = verdict(one, text, lines)
    assert finding.evidence["measured"]["characters"] == len(text)
    assert finding.passed == (least <= len(text) <= most and len(lines) <= 4)


@given(st.lists(WORDS, min_size=4, max_size=12), st.integers(2, 4))
def test_repetition_is_the_share_of_runs_that_occurred_before(words: list[str], times: int) -> None:
    once = repetition(" ".join(words))
    assert 0 <= once < 1
    again = repetition(" ".join(words * times))
    assert once <= again < 1
    assert again >= 1 - len(words) / (len(words) * times - 3)
    assert repetition("one two three") == 0


def test_a_self_edit_that_repeats_itself_is_refused() -> None:
    one = rule("size", max_repetition=0.5)
    assert verdict(one, "the cup is blue and the plate is green").passed
    assert not verdict(one, "the cup is blue\n" * 5).passed
    assert found(rule("size", longest_sequence=5), "", ["four", "sixsix"]) == ["longest sequence: 6, at most 5"]
