"""Frozen dataclasses to rows and back, by the field types alone, so that no table needs code of its own.

A dict or list field is canonical JSON in its column, a bool is 0 or 1, everything else is stored as it is.
"""

from __future__ import annotations

import json
import math
from dataclasses import fields
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

from store.database import execute, fetch
from store.errors import WrongUseError
from store.hashing import HASH_PREFIX, canonical_json

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
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
    """Build a `kind` from a row; a column that is no field is left aside, a field without a column has its default."""
    kinds = _column_kinds(kind)
    return kind(**{name: _from_column(kinds[name], row[name]) for name in kinds if name in row})


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
    return [from_row(kind, row) for row in fetch(db, query, parameters)]


@cache
def _column_kinds(kind: type[Any]) -> dict[str, str]:
    hints = get_type_hints(kind)
    return {field.name: _column_kind(hints[field.name]) for field in fields(kind)}


def _column_kind(hint: Any) -> str:
    if get_origin(hint) in (Union, UnionType):
        (hint,) = (part for part in get_args(hint) if part is not type(None))
    base = get_origin(hint) or hint
    if base in (dict, list):
        return "json"
    if base is bool:
        return "bool"
    return "float" if base is float else "plain"


def _to_column(name: str, kind: str, value: Any) -> Any:
    if value is None:
        return None
    if kind == "json":
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
    if kind == "json":
        return json.loads(value)
    return bool(value) if kind == "bool" else value


_NAMED_AT_MOST = 8


def full_id(db: Database, table: str, wanted: str, *, what: str, list_command: str) -> str:
    """Return the id in `table` that is `wanted` or starts with it; the tag "sha256:" may be left out.

    Raises WrongUseError with the ids that match if there is not exactly one.
    """
    if fetch(db, f'SELECT 1 FROM "{table}" WHERE id = ?', (wanted,)):  # noqa: S608
        return wanted
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
