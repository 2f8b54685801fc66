"""Whether the schema of a seal.db is the one that the migrations make: no trigger, view or index more or less.

SQLite runs triggers of the file as if they were this program's own, so a foreign one could turn one decision into
another.
"""

from __future__ import annotations

import re
import sqlite3
from functools import cache
from pathlib import Path

from store.errors import CorruptError
from store.migrations import applied_migrations, migrate, shipped_migrations


class SchemaError(CorruptError):
    """The schema of seal.db is not the one that the migrations make; nothing may be written through it."""


def require_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Raise SchemaError, with every difference, if the schema is not what the migrations applied to the file make."""
    problems = schema_problems(connection)
    if problems:
        raise SchemaError(
            f"The schema of {path} has been changed, so nothing is written to it.",
            problems=problems,
            next_step=f"Remove what was added (sqlite3 {path} 'DROP TRIGGER NAME', for example), or restore seal.db "
            "from a backup; then seal-console verify.",
        )


def schema_problems(connection: sqlite3.Connection) -> list[str]:
    """Return one sentence for each table, index, trigger or view that was added, is missing, or has another text.

    Nothing is said of a file with other migrations than this program has; opening it for writing refuses it.
    """
    applied, found = _read(connection)
    shipped = [migration.number for migration in shipped_migrations()]
    if applied != shipped[: len(applied)]:
        return []
    expected = _expected_schema(len(applied))
    problems = []
    for key in sorted(found.keys() | expected.keys()):
        name = f"seal.db: {key[0]} {key[1]}"
        if key not in expected:
            problems.append(f"{name} is not part of the schema: {' '.join(found[key].split())[:200]}")
        elif key not in found:
            problems.append(f"{name} is missing")
        elif _plain(found[key]) != _plain(expected[key]):
            problems.append(f"{name} has another text than its migration")
    return problems


def _read(connection: sqlite3.Connection) -> tuple[list[int], dict[tuple[str, str], str]]:
    """Return migrations and schema as they are at one moment: another process may be migrating the file."""
    begins = not connection.in_transaction
    if begins:
        connection.execute("BEGIN DEFERRED")
    try:
        return sorted(applied_migrations(connection)), _schema_of(connection)
    finally:
        if begins:
            connection.execute("ROLLBACK")


@cache
def _expected_schema(migrations: int) -> dict[tuple[str, str], str]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        if migrations:
            migrate(connection, Path(":memory:"), shipped_migrations()[:migrations])
        return _schema_of(connection)
    finally:
        connection.close()


def _schema_of(connection: sqlite3.Connection) -> dict[tuple[str, str], str]:
    rows = connection.execute("SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")
    return {(kind, name): sql or "" for kind, name, sql in rows}


def _plain(sql: str) -> str:
    """Return SQL without what versions of SQLite write differently after ALTER TABLE: spaces and quoted names."""
    return re.sub(r"\s+", " ", sql.replace('"', "")).strip()
