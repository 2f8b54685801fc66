"""Numbered, append-only changes of the schema, each applied in one transaction and recorded with its hash."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from store.clock import utc_now
from store.errors import CorruptError
from store.hashing import hash_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_FILE_NAME = re.compile(r"(\d{4})_(\w+)\.sql")
_CREATE_RECORD = """CREATE TABLE IF NOT EXISTS migrations (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL, hash TEXT NOT NULL, applied_at TEXT NOT NULL)"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered SQL file."""

    number: int
    name: str
    sql: str

    @property
    def hash(self) -> str:
        """The hash of its text: an applied migration never changes."""
        return hash_text(self.sql)


def shipped_migrations() -> list[Migration]:
    """Return the migrations that this code brings, in order."""
    found = []
    for entry in resources.files(__name__).iterdir():
        match = _FILE_NAME.fullmatch(entry.name)
        if match:
            found.append(Migration(int(match[1]), match[2], entry.read_text(encoding="utf-8")))
    return sorted(found, key=lambda migration: migration.number)


def migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration] | None = None) -> list[int]:
    """Apply missing migrations and return their numbers. Safe if several processes open a new file at once.

    Raises CorruptError if the file is newer than this code or an applied migration has another text.
    """
    shipped = list(shipped_migrations() if migrations is None else migrations)
    if is_up_to_date(connection, path, shipped):
        return []
    applied = []
    for migration in shipped:
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute(_CREATE_RECORD)
            if migration.number not in applied_migrations(connection):
                _apply(connection, migration)
                applied.append(migration.number)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    return applied


def is_up_to_date(connection: sqlite3.Connection, path: Path, shipped: Sequence[Migration] | None = None) -> bool:
    """Return whether all migrations were applied. Raises CorruptError if the file is newer, or has other ones."""
    shipped = list(shipped_migrations() if shipped is None else shipped)
    applied = applied_migrations(connection)
    newest_shipped = max((migration.number for migration in shipped), default=0)
    newest_applied = max(applied, default=0)
    if newest_applied > newest_shipped:
        raise CorruptError(
            f"{path} was written by a newer seal-console: its schema has number {newest_applied}, "
            f"this program knows {newest_shipped}.",
            next_step="pip install --upgrade seal-console",
        )
    for migration in shipped:
        if applied.get(migration.number, migration.hash) != migration.hash:
            raise CorruptError(
                f"{path}: migration {migration.number} ({migration.name}) was applied with a different text than "
                "this program has.",
                next_step="Use the program that created this workspace, or create a new one: seal-console init DIR",
            )
    return len(applied) == len(shipped)


def applied_migrations(connection: sqlite3.Connection) -> dict[int, str]:
    """Return the numbers of the migrations that were applied to a file, each with the hash of its text."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'migrations'").fetchone():
        return {}
    return dict(connection.execute("SELECT number, hash FROM migrations").fetchall())


def _apply(connection: sqlite3.Connection, migration: Migration) -> None:
    for statement in _statements(migration.sql):
        connection.execute(statement)
    connection.execute(
        "INSERT INTO migrations (number, name, hash, applied_at) VALUES (?, ?, ?, ?)",
        (migration.number, migration.name, migration.hash, utc_now()),
    )


def _statements(sql: str) -> Iterator[str]:
    """Split SQL into statements; `executescript` cannot be used because it commits first."""
    pending = ""
    for line in sql.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
    if pending.strip():
        yield pending
