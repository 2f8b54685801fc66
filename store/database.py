"""The SQLite file: how it is opened, brought up to date, and changed in transactions.

WAL with synchronous=FULL, because rows here speak about commits in git: a commit that SQLite reported must survive a
power cut. Every write goes through `transaction`; a connection stays in the thread that opened it.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from store.errors import CorruptError, LockedError, SealError
from store.expected_failures import RESTORE, sqlite_failure
from store.log_head import keep_head
from store.migrations import is_up_to_date, migrate
from store.schema import require_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlite_utils import Database

BUSY_TIMEOUT_MS = 30_000
_SYNCHRONOUS_FULL = 2


def create_database(path: Path) -> Database:
    """Open the SQLite file at `path`, create it if needed, and apply all migrations."""
    return _open(path, "rwc")


def open_database(path: Path) -> Database:
    """Open the existing SQLite file at `path`, and apply all migrations.

    Raises CorruptError if it is missing, empty or damaged, newer than this code or has other migrations; SchemaError
    if something was added to its schema or taken from it, before a trigger can fire; LockedError, ReadOnlyError or
    SealError if it cannot be opened or written for another reason.
    """
    _require_content(path)
    return _open(path, "rw")


def _open(path: Path, mode: str) -> Database:
    connection = None
    try:
        connection = _connect(path, mode)
        _configure(connection)
        require_schema(connection, path)
        migrate(connection, path)
        connection.schema_version = _schema_version(connection)
    except sqlite3.Error as error:
        if connection is not None:
            connection.close()
        raise _unusable(path, error) from error
    except BaseException:
        if connection is not None:
            connection.close()
        raise
    return _wrapped(connection)


# On a read-only or a full disk SQLite cannot make the files that it keeps next to a database in WAL mode.
_NO_ROOM_FOR_WAL = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL)


class _StoreConnection(sqlite3.Connection):
    """A connection to a seal.db that remembers its file, and at which version of its schema it was found in order.

    SQLite would tell the file as text, which a name that is not UTF-8 is not.
    """

    file = Path()
    schema_version: int | None = None


def _connect(path: Path, mode: str) -> _StoreConnection:
    uri = f"{path.absolute().as_uri()}?{mode if '=' in mode else f'mode={mode}'}"
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_MS / 1000, factory=_StoreConnection
    )
    connection.file = path.absolute()
    return connection


def _schema_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA schema_version").fetchone()[0])


def _require_same_schema(connection: sqlite3.Connection) -> None:
    """Look at the schema again if somebody has changed it since; inside a transaction, so that it stays as it is."""
    if not isinstance(connection, _StoreConnection) or connection.schema_version is None:
        return
    now = _schema_version(connection)
    if now != connection.schema_version:
        require_schema(connection, connection.file)
        connection.schema_version = now


def _require_content(path: Path) -> None:
    """Raise CorruptError if there is no database: SQLite would make a new one, as if nothing had ever happened."""
    found = path.stat().st_size if path.exists() else None
    if not found:
        raise CorruptError(
            f"{path} is {'missing' if found is None else 'empty'}: without it, this workspace has no tasks, rounds or "
            "decisions.",
            next_step=f"{RESTORE} Without a backup, make a new workspace: seal-console init DIR",
        )


def _unusable(path: Path, error: sqlite3.Error) -> SealError:
    return sqlite_failure(error, path) or CorruptError(
        f"{path} cannot be used as the workspace's database: {error}.", next_step=RESTORE
    )


@contextmanager
def transaction(db: Database) -> Iterator[None]:
    """Run a block as one transaction: all of it or nothing. Inside another transaction it joins that one.

    When it returns, the change is durable, and so is the record of where the event log ends.
    """
    connection: sqlite3.Connection = db.conn
    if connection.in_transaction:
        yield
        return
    _begin(connection)
    try:
        _require_same_schema(connection)
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    if isinstance(connection, _StoreConnection) and connection.schema_version is not None:
        keep_head(connection, connection.file)


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
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
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
    connection.execute("PRAGMA trusted_schema = OFF")
    synchronous = connection.execute("PRAGMA synchronous").fetchone()[0]
    foreign_keys = connection.execute("PRAGMA foreign_keys").fetchone()[0]
    if (mode, synchronous, foreign_keys) != ("wal", _SYNCHRONOUS_FULL, 1):
        raise CorruptError(
            f"SQLite rejected the store's settings: journal_mode={mode}, "
            f"synchronous={synchronous}, foreign_keys={foreign_keys}.",
            next_step="Move the workspace to a local file system: SQLite's WAL does not work on network folders.",
        )


def open_to_read(path: Path) -> Database:
    """Open an existing, migrated SQLite file read-only; also on a medium where nothing can be written.

    Raises CorruptError if it is missing, empty or damaged, and SealError if it cannot be read for another reason.
    """
    _require_content(path)
    try:
        connection = _readable(path)
        migrated = is_up_to_date(connection, path)
    except sqlite3.Error as error:
        raise _unusable(path, error) from error
    if not migrated:
        connection.close()
        raise SealError(
            f"{path} was written by an older seal-console, and cannot be brought up to date because it is read-only.",
            next_step="Copy the workspace to where it can be written, and open the copy.",
        )
    return _wrapped(connection)


def _readable(path: Path) -> sqlite3.Connection:
    """Return a connection that reads; if SQLite cannot write its files for WAL, it is told that nobody writes."""
    try:
        return _checked(_connect(path, "ro"))
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in _NO_ROOM_FOR_WAL:
            raise
        wal = path.with_name(f"{path.name}-wal")
        if wal.exists() and wal.stat().st_size:
            raise SealError(
                f"{wal} has changes that are not in {path.name} yet, and cannot be read where nothing can be written.",
                next_step=f"Copy {path.parent} to where it can be written, and open the copy.",
            ) from error
        return _checked(_connect(path, "mode=ro&immutable=1"))


def _checked(connection: sqlite3.Connection) -> sqlite3.Connection:
    try:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection
