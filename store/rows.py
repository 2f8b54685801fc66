"""Frozen dataclasses to rows and back, by the field types alone, so that no table needs code of its own.

A dict or list field is canonical JSON in its column, a bool is 0 or 1, everything else is stored as it is. A row that
does not have this form is damage, and its error names table, row and column.
"""

from __future__ import annotations

import json
import math
import re
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import fields
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

from store.database import execute, fetch
from store.errors import CorruptError, WrongUseError
from store.hashing import HASH_PREFIX, canonical_json

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from dataclasses import Field

    from sqlite_utils import Database


class Record(Protocol):
    """Any dataclass instance."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


RecordT = TypeVar("RecordT", bound=Record)


def to_row(record: Record, *, without: Collection[str] = ()) -> dict[str, Any]:
    """Return the columns of `record`. Raises ValueError for a float that is NaN or infinite."""
    kinds = _column_kinds(type(record))
    return {name: _to_column(name, kinds[name], getattr(record, name)) for name in kinds if name not in without}


def from_row(kind: type[RecordT], row: Mapping[str, Any]) -> RecordT:
    """Build a `kind` from a row; a column that is no field is left aside, a field without a column has its default.

    Raises CorruptError, with table, row and column, if a value cannot be what it must be.
    """
    kinds = _column_kinds(kind)
    values = {}
    for name in kinds:
        if name in row:
            try:
                values[name] = _from_column(kinds[name], row[name])
            except ValueError as error:
                raise _unreadable(kind, row, name, error) from error
    return kind(**values)


def insert(
    db: Database, table: str, record: Record, *, without: Collection[str] = (), extra: Mapping[str, Any] | None = None
) -> None:
    """Insert `record` as one row of `table`, with `extra` columns that the record has not."""
    row = {**to_row(record, without=without), **(extra or {})}
    columns = ", ".join(f'"{name}"' for name in row)
    marks = ", ".join("?" for _ in row)
    execute(db, f'INSERT INTO "{table}" ({columns}) VALUES ({marks})', list(row.values()))  # noqa: S608


def select(db: Database, kind: type[RecordT], query: str, parameters: Sequence[Any] = ()) -> list[RecordT]:
    """Run `query` and build a `kind` from each row."""
    set_aside = _set_aside.get()
    if set_aside is None:
        return [from_row(kind, row) for row in fetch(db, query, parameters)]
    found = []
    for row in fetch(db, query, parameters):
        try:
            found.append(from_row(kind, row))
        except CorruptError as error:
            set_aside[error.message] = None
    return found


_set_aside: ContextVar[dict[str, None] | None] = ContextVar("_set_aside", default=None)


@contextmanager
def setting_unreadable_rows_aside() -> Iterator[dict[str, None]]:
    """Let `select` pass over unreadable rows inside the block, and collect what is wrong with them: for `verify`."""
    found: dict[str, None] = {}
    token = _set_aside.set(found)
    try:
        yield found
    finally:
        _set_aside.reset(token)


_TABLES = {
    "GateResult": "gates",
    "Drift": "drift",
    "SuiteNoise": "suite_noise",
    "LiveProgress": "live_progress",
    "RoundMeasures": "round_measures",
}
_KEYS = {
    "gates": ("candidate_id", "gate"),
    "inner_updates": ("candidate_id", "repeat"),
    "answers": ("candidate_id", "model_state", "repeat", "question_id"),
    "retention_answers": ("model_state", "prompt_hash"),
    "drift": ("model_state", "anchors_hash"),
    "suite_noise": ("suite", "prompts_hash"),
    "decisions": ("candidate_id", "decided_at"),
    "alarm_clearings": ("alarm_id",),
}
_USUAL_KEYS = ("id", "number", "sequence", "round_number", "stage", "name")


def _unreadable(kind: type[Any], row: Mapping[str, Any], column: str, error: ValueError) -> CorruptError:
    table = _TABLES.get(kind.__name__) or re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower() + "s"
    usual = next((name for name in _USUAL_KEYS if name in row), None)
    keys = _KEYS.get(table, () if usual is None else (usual,))
    name = ", ".join(f"{key} {row[key]}" for key in keys if row.get(key) is not None)
    return CorruptError(
        f"seal.db: table {table}, {name}, column {column}: {error}",
        next_step="seal-console verify lists everything that is damaged; restore seal.db from a backup.",
    )


@cache
def _column_kinds(kind: type[Any]) -> dict[str, str]:
    hints = get_type_hints(kind)
    return {field.name: _column_kind(hints[field.name]) for field in fields(kind)}


def _column_kind(hint: Any) -> str:
    if get_origin(hint) in (Union, UnionType):
        (hint,) = (part for part in get_args(hint) if part is not type(None))
    base = get_origin(hint) or hint
    return {dict: "dict", list: "list", bool: "bool", float: "float", int: "int", str: "str"}.get(base, "plain")


def _to_column(name: str, kind: str, value: Any) -> Any:
    if value is None:
        return None
    if kind in {"dict", "list"}:
        return canonical_json(value)
    if kind == "bool":
        return int(value)
    if kind == "float":
        if not math.isfinite(value):
            raise ValueError(f"{name} is {value}: only finite numbers are stored")
        return float(value)
    return value


def _from_column(kind: str, value: Any) -> Any:
    if value is None:
        return None
    if kind in _JSON_TYPES:
        try:
            value = json.loads(value)
        except (TypeError, ValueError) as error:
            raise ValueError(f"not JSON ({error})") from error
        if not isinstance(value, _JSON_TYPES[kind]):
            raise ValueError(f"JSON of another kind than {_JSON_NAMES[kind]}")
        return value
    if kind in _PLAIN_TYPES and not isinstance(value, _PLAIN_TYPES[kind]):
        raise ValueError(f"{value!r:.40} is not {_PLAIN_NAMES[kind]}")
    return bool(value) if kind == "bool" else value


_JSON_TYPES: dict[str, type] = {"dict": dict, "list": list}
_JSON_NAMES = {"dict": "an object", "list": "a list"}
_PLAIN_TYPES: dict[str, type | tuple[type, ...]] = {"bool": int, "float": (int, float), "int": int, "str": str}
_PLAIN_NAMES = {"bool": "0 or 1", "float": "a number", "int": "a whole number", "str": "text"}


_LEAST_CHARACTERS = 4  # a number that was meant for a row must not decide about something else
_NAMED_AT_MOST = 8


def full_id(db: Database, table: str, wanted: str, *, what: str, list_command: str) -> str:
    """Return the id in `table` that is `wanted` or starts with it; the tag "sha256:" may be left out.

    Raises WrongUseError with the ids that match if there is not exactly one.
    """
    if fetch(db, f'SELECT 1 FROM "{table}" WHERE id = ?', (wanted,)):  # noqa: S608
        return wanted
    if 0 < len(wanted.removeprefix(HASH_PREFIX)) < _LEAST_CHARACTERS:
        raise WrongUseError(
            f"{wanted!r} is too short for the id of a {what}; type at least {_LEAST_CHARACTERS} characters of it.",
            next_step=f"{list_command} lists all.",
        )
    prefixes = [wanted, HASH_PREFIX + wanted] if wanted else []
    matches: set[str] = set()
    for prefix in prefixes:
        sql = f'SELECT id FROM "{table}" WHERE substr(id, 1, length(?1)) = ?1 ORDER BY id LIMIT 100'  # noqa: S608
        matches.update(row["id"] for row in fetch(db, sql, (prefix,)))
    if HASH_PREFIX + wanted in matches:
        return HASH_PREFIX + wanted
    if len(matches) == 1:
        return matches.pop()
    if not matches:
        raise WrongUseError(f"There is no {what} {wanted!r}.", next_step=f"{list_command} lists all.")
    shown = ", ".join(sorted(matches)[:_NAMED_AT_MOST]) + (", …" if len(matches) > _NAMED_AT_MOST else "")
    raise WrongUseError(f"{wanted!r} matches {len(matches)} {what}s: {shown}.", next_step="Type more of the id.")
