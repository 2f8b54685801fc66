"""The kind `personal-data`: found by check digits and form, stored masked."""

from __future__ import annotations

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from stdnum import iban, luhn

from tests.test_engine.guardrail_texts import found, rule, task_with, verdict

PERSONAL = {
    "email": ["joe.bloggs+x@mail.example.co.uk", "ä.öz@straße.de"],
    "phone": ["+49 30 901820", "+1 650-253-0000"],
    "iban": ["DE89370400440532013000", "GB29 NWBK 6016 1331 9268 19"],
    "payment-card": ["4111 1111 1111 1111", "5500-0000-0000-0004", "378282246310005"],
    "ip": ["8.8.8.8", "2001:4860:4860::8888"],
}


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in PERSONAL.items() for value in values])
def test_personal_data_is_found_with_its_kind_and_never_stored(kind: str, value: str) -> None:
    finding = verdict(rule("personal-data", find=[kind]), f"Write to\n{value}, they said.", [], task_with(value))
    (match,) = finding.evidence["matches"]
    assert (match["line"], match["text"], match["in_document"] or kind == "iban") == (2, "••••", True)
    assert value not in json.dumps(finding.evidence, ensure_ascii=False)
    others = [other for other in PERSONAL if other != kind]
    assert verdict(rule("personal-data", find=others), f"Write to\n{value}, they said.").passed


@pytest.mark.parametrize(
    "text",
    [
        "version 1.2.3.4.5", "192.168.0.1 and 127.0.0.1", "4111 1111 1111 1112", "DE89370400440532013001", "10:20:30",
        "std::vector a::b", "ISBN 978-3-16-148410-0", "at 12:30 on 2024-05-01", "user@localhost", "0000 0000 0000 0000",
        "tel. 112", "3.14159265358979", "2222222222222222",
    ],
)  # fmt: skip
def test_what_only_looks_like_personal_data_passes(text: str) -> None:
    assert found(rule("personal-data"), text) == []


@given(st.from_regex(r"[2-6][0-9]{14}", fullmatch=True))
def test_every_card_number_with_its_check_digit_is_found_and_no_other(digits: str) -> None:
    assume(len(set(digits)) > 2)
    right = digits + luhn.calc_check_digit(digits)
    wrong = digits + str((int(right[-1]) + 1) % 10)
    one = rule("personal-data", find=["payment-card"])
    assert not verdict(one, f"card {right}.").passed
    assert verdict(one, f"card {wrong}.").passed


@given(st.from_regex(r"[0-9]{18}", fullmatch=True), st.booleans())
def test_every_valid_iban_is_found(account: str, spaced: bool) -> None:
    made = "DE" + iban.calc_check_digits("DE00" + account) + account
    text = iban.format(made) if spaced else made
    assert not verdict(rule("personal-data", find=["iban"]), f"to {text} please").passed


def test_what_a_rule_allows_is_nobodys_secret() -> None:
    one = rule("personal-data", find=["email"], allow=["Help@Shop.example", "@our.example"])
    assert found(one, "help@shop.example joe@our.example") == []
    assert found(one, "joe@shop.example") == ["e-mail address: ••••"]


def test_local_phone_numbers_need_a_country() -> None:
    text = "Call 030 901820 now"
    assert found(rule("personal-data", find=["phone"]), text) == []
    assert found(rule("personal-data", find=["phone"], phone_region="DE"), text) == ["phone number: ••••"]
