"""The kind `secrets`: found on their line, never stored."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from tests.test_engine.guardrail_texts import PROSE, found, rule, task_with, verdict

SECRETS = st.one_of(
    st.from_regex(r"AKIA[A-Z0-9]{16}", fullmatch=True),
    st.from_regex(r"ghp_[A-Za-z0-9]{36}", fullmatch=True),
    st.from_regex(r"xoxb-[0-9]{12}-[0-9]{12}-[a-zA-Z0-9]{24}", fullmatch=True),
    st.from_regex(r"sk_live_[0-9a-zA-Z]{24}", fullmatch=True),
)


@given(PROSE, SECRETS, st.lists(PROSE, max_size=3))
def test_a_secret_is_found_on_its_line_and_never_stored(before: str, secret: str, sequences: list[str]) -> None:
    finding = verdict(rule("secrets"), f"{before}\nthe key is {secret} here", [*sequences, secret], task_with(secret))
    assert finding.denied
    assert finding.evidence["matches"][0]["line"] == 2
    assert finding.evidence["matches"][0]["in_document"] is True
    kept = json.dumps(finding.evidence)
    assert secret not in kept
    assert secret[8:20] not in kept


def test_passwords_without_quotation_marks_are_found_only_if_the_rule_says_so() -> None:
    text = 'password = "hunter2hunter"'
    bare = "the api_key: 98fa7c1e55d2"
    assert found(rule("secrets"), text) == ["Secret Keyword: ••••"]
    assert found(rule("secrets"), bare) == []
    assert found(rule("secrets", unquoted=True), bare) == ["Secret Keyword: ••••"]
    assert found(rule("secrets", leave_out=["KeywordDetector"]), text) == []
    assert found(rule("secrets"), 'password = "{{ template }}"') == []


def test_random_strings_are_found_only_if_the_rule_sets_a_limit() -> None:
    random, hexadecimal = "kJ8vQz3LmN7pRw2XtYb5Dc9F", "9f86d081884c7d659a2feaa0c55ad015"
    assert found(rule("secrets"), f"{random} {hexadecimal}") == []
    assert found(rule("secrets", base64_entropy=4.0), f"it is {random}.") == ["random-looking base64 string: ••••"]
    assert found(rule("secrets", hex_entropy=3.0), hexadecimal) == ["random-looking hex string: ••••"]
    assert found(rule("secrets", base64_entropy=4.0, entropy_characters=30), random) == []
    assert found(rule("secrets", hex_entropy=3.0), "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa") == []


def test_a_secret_behind_a_very_long_line_is_found() -> None:
    assert found(rule("secrets"), "x " * 30_000 + "AKIAIOSFODNN7EXAMPLE") == ["AWS Access Key: ••••"]
