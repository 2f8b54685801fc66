"""The SQLite file: how it is opened, brought up to date, and changed in transactions.

WAL with synchronous=FULL, because rows here speak about commits in git: a commit that SQLite reported must survive a
power cut. Every write goes through `transaction`; a connection stays in the thread that opened it.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from store.errors import CorruptError, LockedError
from store.migrations import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sqlite_utils import Database

BUSY_TIMEOUT_MS = 30_000
_SYNCHRONOUS_FULL = 2


def open_database(path: Path) -> Database:
    """Open the SQLite file at `path`, create it if needed, and apply all migrations.

    Raises CorruptError if it is not a database, is newer than this code or has other migrations.
    """
    connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT_MS / 1000)
    try:
        _configure(connection)
        migrate(connection, path)
    except sqlite3.DatabaseError as error:
        connection.close()
        raise CorruptError(
            f"{path} cannot be used as the workspace's database: {error}.",
            next_step="Restore seal.db from a backup; adapters/ still has every accepted version.",
        ) from error
    except BaseException:
        connection.close()
        raise
    return _wrapped(connection)


@contextmanager
def transaction(db: Database) -> Iterator[None]:
    """Run a block as one transaction: all of it or nothing. Inside another transaction it joins that one."""
    connection: sqlite3.Connection = db.conn
    if connection.in_transaction:
        yield
        return
    _begin(connection)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _wrapped(connection: sqlite3.Connection) -> Database:
    """Import sqlite-utils late: it brings NumPy, and a console draws its first screen before it reads anything."""
    from sqlite_utils import Database  # noqa: PLC0415

    return Database(connection)


@contextmanager
def snapshot(db: Database) -> Iterator[None]:
    """Let all queries of a block see one state of the database, even if others write meanwhile."""
    connection: sqlite3.Connection = db.conn
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN DEFERRED")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


def _begin(connection: sqlite3.Connection) -> None:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise
        raise LockedError(
            f"Another process has been writing to the database for more than {BUSY_TIMEOUT_MS / 1000:.0f} s.",
            next_step="End the process that has seal.db open, and try again.",
        ) from error


def fetch(db: Database, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """Return all rows of a query as dicts."""
    cursor = db.conn.execute(sql, tuple(parameters))
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def fetch_value(db: Database, sql: str, parameters: Sequence[Any] = ()) -> Any:
    """Return the first column of the first row, or None if there is no row."""
    row = db.conn.execute(sql, tuple(parameters)).fetchone()
    return None if row is None else row[0]


def execute(db: Database, sql: str, parameters: Sequence[Any] = ()) -> int:
    """Run one writing statement and return how many rows it changed."""
    return int(db.conn.execute(sql, tuple(parameters)).rowcount)


def _configure(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    synchronous = connection.execute("PRAGMA synchronous").fetchone()[0]
    foreign_keys = connection.execute("PRAGMA foreign_keys").fetchone()[0]
    if (mode, synchronous, foreign_keys) != ("wal", _SYNCHRONOUS_FULL, 1):
        raise CorruptError(
            f"SQLite rejected the store's settings: journal_mode={mode}, "
            f"synchronous={synchronous}, foreign_keys={foreign_keys}.",
            next_step="Move the workspace to a local file system: SQLite's WAL does not work on network folders.",
        )


def open_to_read(path: Path) -> Database:
    """Open an existing, migrated SQLite file read-only. Raises CorruptError if that fails."""
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.DatabaseError as error:
        raise CorruptError(f"{path} cannot be read: {error}.", next_step="seal-console verify") from error
    return _wrapped(connection)
