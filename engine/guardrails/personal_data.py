"""The kind `personal-data`: addresses and numbers of people, each checked by a library that knows its form.

Evidence never contains what was found, only its kind and its line. Names and postal addresses are not found.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import phonenumbers
import regex
from pydantic import AfterValidator, BeforeValidator, Field
from stdnum import iban, luhn

from engine.guardrails.rule import Check, Match, MatchReport
from engine.guardrails.texts import MASK, line_at
from engine.input_files.input_model import FilledText, Texts, as_list

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.guardrails.rule import CheckInput, TextPart

PersonalKind = Literal["email", "phone", "iban", "payment-card", "ip"]
KINDS: tuple[PersonalKind, ...] = get_args(PersonalKind)
_WORDS: dict[PersonalKind, str] = {
    "email": "e-mail address",
    "phone": "phone number",
    "iban": "IBAN",
    "payment-card": "payment card number",
    "ip": "public IP address",
}
# Each repeat is bounded, so that no text takes longer than its length.
_EMAIL = regex.compile(r"(?<![\w.+-])[\w.!#$%&'*+/=?^`{|}~-]{1,64}@(?:[\w-]{1,63}\.){1,8}\p{L}{2,24}(?![\w-])")
_IBAN = regex.compile(r"(?<!\w)\p{L}{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,30}(?!\w)")
_CARD = regex.compile(r"(?<![\d.,-])[2-6]\d{3}(?:[ -]?\d){8,15}(?![\d]|[.,]\d)")
_IP4 = regex.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)")
_IP6 = regex.compile(r"(?<![\w:.])[0-9A-Fa-f]{1,4}:[0-9A-Fa-f:]{3,34}(?![\w:])")
_IBAN_LENGTHS = range(34, 14, -1)
_CARD_LENGTHS = range(13, 20)


def _in_fixed_order(kinds: tuple[PersonalKind, ...]) -> tuple[PersonalKind, ...]:
    return tuple(kind for kind in KINDS if kind in kinds)


def _region(name: str) -> str:
    if name not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError(f"must be a country's two letters, such as DE (is {name!r})")
    return name


class PersonalDataCheck(Check):
    """The kinds to look for; `allow` lists texts that are nobody's secret, such as a shop's own address."""

    kinds: Annotated[
        tuple[PersonalKind, ...],
        Field(min_length=1, validation_alias="find"),
        BeforeValidator(as_list),
        AfterValidator(_in_fixed_order),
    ] = KINDS
    phone_region: Annotated[FilledText, AfterValidator(_region)] | None = None
    allow: Texts = ()

    def find(self, looked_at: CheckInput) -> MatchReport:
        """Return each piece of personal data with its kind and its line, masked."""
        return MatchReport(
            tuple(match for part in looked_at.parts for match in self._in_part(part, looked_at.document))
        )

    def says(self) -> str:
        """Name the kinds."""
        return "none of: " + ", ".join(_WORDS[kind] for kind in self.kinds)

    def _in_part(self, part: TextPart, document: str) -> Iterator[Match]:
        allowed = {text.casefold() for text in self.allow}
        for kind in self.kinds:
            for start, text in self._found(kind, part.text):
                if text.casefold() in allowed or f"@{text.casefold().rpartition('@')[2]}" in allowed:
                    continue
                in_document = text in document if document else None
                yield Match(part.where, line_at(part.text, start), _WORDS[kind], MASK, in_document, same_as=text)

    def _found(self, kind: PersonalKind, text: str) -> Iterator[tuple[int, str]]:
        if kind == "phone":
            found = phonenumbers.PhoneNumberMatcher(text, self.phone_region)
            yield from ((one.start, one.raw_string) for one in found)
        else:
            yield from _FINDERS[kind](text)


def _emails(text: str) -> Iterator[tuple[int, str]]:
    return ((found.start(), found.group()) for found in _EMAIL.finditer(text))


def _ibans(text: str) -> Iterator[tuple[int, str]]:
    for found in _IBAN.finditer(text):
        compact = regex.sub("[ -]", "", found.group())
        # What follows an IBAN may look like more of it: the longest beginning that is one counts.
        valid = next((compact[:length] for length in _IBAN_LENGTHS if _is_iban(compact[:length])), None)
        if valid:
            yield found.start(), valid


def _is_iban(text: str) -> bool:
    return len(text) in _IBAN_LENGTHS and bool(iban.is_valid(text))


def _cards(text: str) -> Iterator[tuple[int, str]]:
    for found in _CARD.finditer(text):
        digits = regex.sub("[ -]", "", found.group())
        if len(digits) in _CARD_LENGTHS and len(set(digits)) > 1 and luhn.is_valid(digits):
            yield found.start(), found.group()


def _addresses(text: str) -> Iterator[tuple[int, str]]:
    for expression in (_IP4, _IP6):
        for found in expression.finditer(text):
            if _is_public(found.group().rstrip(":")):
                yield found.start(), found.group()


def _is_public(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False


_FINDERS: dict[PersonalKind, Callable[[str], Iterator[tuple[int, str]]]] = {
    "email": _emails,
    "iban": _ibans,
    "payment-card": _cards,
    "ip": _addresses,
}
