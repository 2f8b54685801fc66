"""The filter line of a table: words, fields and numbers, translated to a condition in SQL.

`nisdac reward>0.5 state:deferred -round:3` means: contains "nisdac", reward above 0.5, is deferred, not of round 3.
Quotes keep words together: `"battery life"`, `task:"release notes"`. All terms must match. Values are passed to SQLite
as parameters, never in the text of the query.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from store.errors import WrongUseError
from store.wording import suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TERM = re.compile(
    r'(?P<not>-?)(?:(?P<field>[A-Za-z_]+)(?P<operator>:|>=|<=|>|<|=))?(?P<value>"[^"]*"|[^\s"]+|)(?=\s|$)'
)
_QUOTE = '"'


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the filter: its SQL expression, and whether it is text, a number or a time.

    A time is compared as far as it is written: `at>=2026-11` is from November on, `at<=2026-11-22` includes that day.
    """

    expression: str
    kind: Literal["text", "number", "time"] = "text"


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition in SQL with its parameters; "1" is true for every row."""

    sql: str = "1"
    parameters: tuple[str | float, ...] = ()


def parse_filter(
    text: str, fields: Mapping[str, Field], searched: Sequence[str], former_fields: Mapping[str, Field] | None = None
) -> Condition:
    """Turn a filter line into a condition; plain words are looked for in the `searched` expressions.

    `former_fields` have names that saved filters may still use and that are not suggested.

    Raises WrongUseError that names the term which cannot be understood.
    """
    parts: list[str] = []
    parameters: list[str | float] = []
    for match in _terms(text):
        sql, values = _condition(match, fields, former_fields or {}, searched)
        parts.append(f"NOT coalesce(({sql}), 0)" if match["not"] else sql)
        parameters += values
    return Condition(" AND ".join(f"({part})" for part in parts) or "1", tuple(parameters))


def _terms(text: str) -> list[re.Match[str]]:
    terms, at = [], 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        match = _TERM.match(text, at)
        if match is None or match.end() == at:
            raise WrongUseError(f"The filter cannot be parsed from {text[at:]!r} on; is a quote not closed?")
        terms.append(match)
        at = match.end()
    return terms


def _condition(
    match: re.Match[str], fields: Mapping[str, Field], former_fields: Mapping[str, Field], searched: Sequence[str]
) -> tuple[str, list[str | float]]:
    name, operator, value = match["field"], match["operator"], match["value"].strip(_QUOTE)
    if name is None:
        if not value:
            raise WrongUseError("The filter has a term without a word.")
        return " OR ".join(f"{one} LIKE ? ESCAPE '\\'" for one in searched), [_like(value)] * len(searched)
    field = fields.get(name.lower()) or former_fields.get(name.lower())
    if field is None:
        raise WrongUseError(_unknown(name, fields))
    if field.kind == "number":
        return f"{field.expression} {'=' if operator == ':' else operator} ?", [_number(name, value)]
    if field.kind == "time" and operator != ":":
        if not value:
            raise WrongUseError(f"{name} is a time: write it as {name}>=2026-11-22 or {name}<2026-11-22T09:30")
        return f"substr({field.expression}, 1, length(?)) {operator} ?", [value, value]
    if operator == ":":
        return f"{field.expression} LIKE ? ESCAPE '\\'", [_like(value)]
    if operator == "=":
        return f"{field.expression} = ?", [value]
    raise WrongUseError(f"{name} is text: use {name}:word or {name}=word.")


def _like(value: str) -> str:
    return "%" + value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"


def _number(name: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        raise WrongUseError(f"{name} is a number, not {value or 'nothing'!r}. For example {name}>0.5") from None
    if number != number or number in (float("inf"), float("-inf")):  # noqa: PLR0124 - only NaN differs from itself
        raise WrongUseError(f"{name} must be compared with a finite number, not {value!r}.")
    return number


def _unknown(name: str, fields: Mapping[str, Field]) -> str:
    return f"Unknown field {name!r}; {suggestion(name.lower(), fields)}"
