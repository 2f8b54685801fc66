"""The kind `pattern`: a match has its line, and a search that takes too long stops."""

from __future__ import annotations

from typing import TYPE_CHECKING

import regex
from hypothesis import assume, given
from hypothesis import strategies as st

from engine.guardrails import patterns
from tests.test_engine.guardrail_texts import PROSE, rule, verdict

if TYPE_CHECKING:
    import pytest


@given(PROSE, st.from_regex(r"[a-z]{3}-[0-9]{2}", fullmatch=True), PROSE)
def test_a_pattern_is_found_on_its_line(before: str, needle: str, after: str) -> None:
    one = rule("pattern", patterns=[r"\b[A-Z]{3}-\d+"], ignore_case=True)
    (match,) = verdict(one, f"{before}\n{needle} {after}").evidence["matches"]
    assert (match["line"], match["text"]) == (2, needle)
    assert verdict(one, f"{before}\n{after}").passed
    assert verdict(rule("pattern", patterns=[r"\b[A-Z]{3}-\d+"]), needle).passed


def test_a_pattern_that_takes_too_long_is_stopped_and_counts_as_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "SEARCH_S", 0.05)
    hopeless = r"(?:a|aa)+$|((x+x+)+y)"
    one = rule("pattern", patterns=[hopeless, "found"])
    finding = verdict(one, "x" * 4000 + " found", ["x" * 4000] * 50)
    assert [match["text"] for match in finding.evidence["matches"]] == ["could not be searched within 0.05 s", "found"]
    assert not finding.passed


@given(st.text(max_size=30))
def test_a_pattern_is_refused_or_can_be_searched(pattern: str) -> None:
    assume(patterns.pattern_problem(pattern) is None)
    assert regex.compile(pattern, regex.MULTILINE).search("") is None
