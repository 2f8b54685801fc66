"""What the verdicts of all kinds of rules have in common."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.guardrails.judging import MOST_MATCHES_KEPT, judge, rule_verdict
from engine.guardrails.rule import VERDICTS
from tests.test_engine.guardrail_texts import PROSE, rule, task_with, verdict

if TYPE_CHECKING:
    from engine.guardrails.rule import Rule, RuleVerdict
    from store.records import Task

ANY_RULE = st.sampled_from(
    [
        rule("pattern", patterns=["secret", r"\d{3}"]),
        rule("secrets", base64_entropy=4.5, hex_entropy=3.0, unquoted=True),
        rule("personal-data", phone_region="DE"),
        rule("topics", words=["merger", "große Fusion"]),
        rule("instructions", phrases=["sing a song"]),
        rule("size", min_characters=3, max_lines=4, max_repetition=0.5, longest_sequence=40),
        rule("language", languages=["en"], scripts=["Latin"]),
        rule("leak", max_share=0.2, words=2),
    ]
)
TASK = task_with("Cups are blue.", audit=[("Which colour has a cup?", "blue")])


@given(ANY_RULE, st.text(max_size=80), st.lists(st.text(max_size=40), max_size=4), st.sampled_from([None, TASK]))
def test_a_verdict_depends_on_rule_and_text_alone_and_its_evidence_can_be_stored(
    one: Rule, text: str, sequences: list[str], task: Task | None
) -> None:
    first = judge(one, text, sequences, task)
    assert judge(one, text, sequences, task) == first
    assert first.passed == (first.evidence["found"] == 0)
    assert len(first.evidence["matches"]) == min(first.evidence["found"], MOST_MATCHES_KEPT)
    assert len(json.dumps(first.evidence)) < 20_000


@pytest.mark.parametrize("if_found", VERDICTS)
@given(text=st.sampled_from(["all is well", "the merger"]))
def test_a_failure_does_what_the_rule_says(if_found: RuleVerdict, text: str) -> None:
    finding = verdict(rule("topics", words=["merger"], verdict=if_found), text)
    gate = rule_verdict(finding, "c", "now")
    assert gate.gate == "rule:one"
    assert gate.passed == ("merger" not in text)
    assert gate.stops == finding.denied == (not gate.passed and if_found == "deny")
    assert gate.needs_review == (not gate.passed and if_found == "review")


@pytest.mark.parametrize(("applies_to", "where"), [("self-edit", ["self-edit"]), ("sequences", ["sequence 2"])])
def test_a_rule_searches_only_the_parts_it_applies_to(applies_to: str, where: list[str]) -> None:
    one = rule("topics", words=["merger"], applies_to=applies_to)
    matches = verdict(one, "a merger", ["nothing", "a merger"]).evidence["matches"]
    assert [match["where"] for match in matches] == where
    assert verdict(one, *(("", ["a merger"]) if applies_to == "self-edit" else ("a merger", []))).passed


def test_a_match_in_several_places_is_reported_once_but_every_line_of_one_text_counts() -> None:
    one = rule("pattern", patterns=["x"])
    assert [match["where"] for match in verdict(one, "x", ["x", "x"]).evidence["matches"]] == ["self-edit"]
    assert [match["line"] for match in verdict(one, "x\nx", []).evidence["matches"]] == [1, 2]
    many = verdict(one, "x\n" * 45).evidence
    assert (many["found"], len(many["matches"])) == (45, MOST_MATCHES_KEPT)


@given(PROSE)
def test_prose_contains_no_secret_and_no_personal_data(text: str) -> None:
    assert verdict(rule("secrets"), text).passed
    assert verdict(rule("personal-data", phone_region="US"), text).passed
