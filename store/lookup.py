"""Finding one row by its id or by an unambiguous beginning of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from store.database import fetch
from store.errors import WrongUseError
from store.hashing import HASH_PREFIX

if TYPE_CHECKING:
    from sqlite_utils import Database

_NAMED_AT_MOST = 8


def full_id(db: Database, table: str, wanted: str, *, what: str, list_command: str) -> str:
    """Return the id in `table` that is `wanted` or begins with it; the tag "sha256:" may be left out.

    Raises WrongUseError, naming what matched, where there is none or more than one.
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
        raise WrongUseError(f"There is no {what} {wanted!r}.", next_step=f"{list_command} shows all.")
    shown = ", ".join(sorted(matches)[:_NAMED_AT_MOST]) + (", …" if len(matches) > _NAMED_AT_MOST else "")
    raise WrongUseError(
        f"{wanted!r} is the beginning of {len(matches)} {what}s: {shown}.", next_step="Give more of the id."
    )
