from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import store
import store.database
from store.database import create_database, fetch_value, open_database, open_to_read, transaction
from store.errors import CorruptError, LockedError, SealError
from store.events import GENESIS_HASH, append_event, chain_head, events_after, verify_chain
from store.expected_failures import DiskFailureError, ReadOnlyError, expected_failure
from store.git_command import GitCommand
from store.lock import hold_lock
from store.log_head import head_file
from store.migrations import Migration, migrate, shipped_migrations
from store.workspace import create_workspace

if TYPE_CHECKING:
    from sqlite_utils import Database

SOURCE = str(Path(str(store.__file__)).parents[1])


def test_the_connection_is_as_durable_as_git(db: Database) -> None:
    pragmas = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    assert [fetch_value(db, f"PRAGMA {name}") for name in pragmas] == ["wal", 2, 1, 30_000]
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        db.conn.execute("INSERT INTO inner_updates VALUES ('none', 0, 1, '{}', 1, 1, 1.0, '[]', NULL, 'now')")


def test_migrations_from_empty_and_twice(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    numbers = [migration.number for migration in shipped_migrations()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert migrate(connection, tmp_path) == numbers
    schema = connection.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall()
    assert migrate(connection, tmp_path) == []
    assert connection.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall() == schema
    connection.close()


def test_each_later_migration_is_added_to_what_is_there(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    steps = [Migration(1, "one", "CREATE TABLE a (x);\n"), Migration(2, "two", "ALTER TABLE a ADD y;\n")]
    assert migrate(connection, tmp_path, steps[:1]) == [1]
    assert migrate(connection, tmp_path, steps) == [2]
    connection.close()


def test_a_migration_that_fails_leaves_nothing(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    broken = Migration(1, "broken", "CREATE TABLE a (x);\nCREATE TABLE a (x);\n")
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, tmp_path, [broken])
    assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    connection.close()


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "seal.db"
    db = create_database(path)
    db.conn.execute("INSERT INTO migrations VALUES (9999, 'future', 'sha256:0', 'later')")
    db.close()
    with pytest.raises(CorruptError, match="newer seal-console: its schema has number 9999") as caught:
        open_database(path)
    assert "upgrade" in caught.value.next_step


def test_a_migration_with_another_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "seal.db"
    db = create_database(path)
    db.conn.execute("UPDATE migrations SET hash = 'sha256:0'")
    db.close()
    with pytest.raises(CorruptError, match="a different text"):
        open_database(path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "seal.db"
    path.write_bytes(b"hello " * 1000)
    with pytest.raises(CorruptError, match=r"seal\.db is damaged: file is not a database"):
        open_database(path)


def test_transactions_nest_and_roll_back_as_one(db: Database) -> None:
    class StopError(Exception):
        pass

    def inner() -> None:
        with transaction(db):
            append_event(db, "a", {})
            with transaction(db):
                append_event(db, "b", {})
            raise StopError

    with pytest.raises(StopError):
        inner()
    assert chain_head(db) == (0, GENESIS_HASH)
    with transaction(db), transaction(db):
        append_event(db, "c", {})
    assert chain_head(db)[0] == 1


def test_events_are_chained_and_append_only(db: Database) -> None:
    first = append_event(db, "round.started", {"number": 1, "ø": [1.5, None]})
    second = append_event(db, "round.finished", {})
    assert (first.previous_hash, second.previous_hash) == (GENESIS_HASH, first.hash)
    assert events_after(db, 0) == [first, second]
    assert events_after(db, 1, limit=5) == [second]
    assert chain_head(db) == (2, second.hash)
    assert verify_chain(db) is None
    for sql in ("UPDATE events SET kind = 'x'", "DELETE FROM events"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            db.conn.execute(sql)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    column=st.sampled_from(["at", "kind", "payload", "previous_hash", "hash"]),
    victim=st.integers(1, 6),
    position=st.integers(0, 1000),
)
def test_a_change_of_any_character_of_any_event_is_found(db: Database, column: str, victim: int, position: int) -> None:
    if chain_head(db)[0] == 0:
        for number in range(6):
            append_event(db, "kind", {"number": number, "text": "words"})
        db.conn.execute("DROP TRIGGER events_stay")
    query = f"SELECT {column} FROM events WHERE sequence = ?"  # noqa: S608
    before = fetch_value(db, query, (victim,))
    index = position % len(before)
    changed = before[:index] + ("#" if before[index] != "#" else "+") + before[index + 1 :]
    statement = f"UPDATE events SET {column} = ? WHERE sequence = ?"  # noqa: S608
    db.conn.execute(statement, (changed, victim))
    assert verify_chain(db) == victim
    db.conn.execute(statement, (before, victim))
    assert verify_chain(db) is None


def test_several_processes_append_to_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "seal.db"
    code = (
        "import sys; from pathlib import Path; from store.database import create_database\n"
        "from store.events import append_event\n"
        "db = create_database(Path(sys.argv[1]))\n"
        "for n in range(40): append_event(db, 'tick', {'n': n})\n"
    )
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    children = [subprocess.Popen([sys.executable, "-c", code, str(path)], env=environment) for _ in range(3)]
    assert [child.wait() for child in children] == [0, 0, 0]
    db = open_database(path)
    assert chain_head(db)[0] == 120
    assert chain_head(db)[1] in head_file(path).read_text()
    assert verify_chain(db) is None
    db.close()


@pytest.mark.parametrize("content", [None, b""])
def test_a_missing_or_empty_database_is_never_made_anew(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "seal.db"
    if content is not None:
        path.write_bytes(content)
    for opened in (open_database, open_to_read):
        with pytest.raises(CorruptError, match="is missing" if content is None else "is empty") as caught:
            opened(path)
        assert "seal-console init DIR" in caught.value.next_step
    assert path.exists() == (content is not None)


def test_a_database_that_another_program_locks_is_locked_not_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "seal.db"
    create_database(path).close()
    monkeypatch.setattr("store.database.BUSY_TIMEOUT_MS", 50)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    with hold_lock(tmp_path / "engine.lock", "run"), pytest.raises(LockedError) as caught:
        open_database(path)
    assert f"an engine is running: process {os.getpid()}" in caught.value.message
    assert "backup" not in caught.value.next_step
    other.close()


def _sqlite_error(code: int, words: str) -> sqlite3.Error:
    error = sqlite3.OperationalError(words)
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("error", "kind", "said", "advice"),
    [
        (_sqlite_error(sqlite3.SQLITE_BUSY, "database is locked"), LockedError, "locked by another process", "End the"),
        (_sqlite_error(sqlite3.SQLITE_LOCKED, "table is locked"), LockedError, "locked by another process", "End the"),
        (_sqlite_error(sqlite3.SQLITE_FULL, "disk is full"), DiskFailureError, "no space is left", "Free some space"),
        (
            _sqlite_error(sqlite3.SQLITE_IOERR, "disk I/O error"),
            DiskFailureError,
            "file system failed",
            "Check the disk",
        ),
        (_sqlite_error(sqlite3.SQLITE_CANTOPEN, "unable to open"), SealError, "cannot be opened", "this user may"),
        (_sqlite_error(sqlite3.SQLITE_READONLY, "readonly"), ReadOnlyError, "is read-only", "Make it writable"),
        (_sqlite_error(sqlite3.SQLITE_CORRUPT, "malformed"), CorruptError, "is damaged", "Restore seal.db"),
        (_sqlite_error(sqlite3.SQLITE_NOTADB, "not a database"), CorruptError, "is damaged", "Restore seal.db"),
        (
            OSError(errno.EROFS, "Read-only file system", "x/engine.lock"),
            ReadOnlyError,
            "x/engine.lock is read-only",
            "",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "x/y"),
            DiskFailureError,
            "x/y cannot be written",
            "Free some space",
        ),
    ],
)
def test_only_damage_advises_to_restore_a_backup(
    tmp_path: Path, error: Exception, kind: type[SealError], said: str, advice: str
) -> None:
    found = expected_failure(error, tmp_path / "seal.db")
    assert found is not None
    assert type(found) is kind
    assert said in found.message
    assert advice in found.next_step
    assert ("backup" in found.next_step) == (kind is CorruptError)


def test_a_mistake_in_the_program_is_no_expected_failure(db: Database) -> None:
    with pytest.raises(sqlite3.Error) as caught:
        db.conn.execute("SELEC")
    assert expected_failure(caught.value) is None


def test_a_database_is_read_where_sqlite_can_write_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "seal.db"
    db = create_database(path)
    append_event(db, "kind", {})
    db.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    asked: list[str] = []
    connect = store.database._connect

    def on_read_only_medium(file: Path, mode: str) -> sqlite3.Connection:
        asked.append(mode)
        if "immutable" not in mode:
            raise _sqlite_error(sqlite3.SQLITE_CANTOPEN, "unable to open database file")
        return connect(file, mode)

    monkeypatch.setattr("store.database._connect", on_read_only_medium)
    reader = open_to_read(path)
    assert (chain_head(reader)[0], asked) == (1, ["ro", "mode=ro&immutable=1"])
    reader.conn.close()
    append_event(db, "kind", {})
    with pytest.raises(SealError, match=r"seal\.db-wal has changes that are not in seal\.db yet"):
        open_to_read(path)
    db.conn.close()


def test_a_folder_whose_name_is_not_utf_8_is_no_obstacle(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/M\xfcller"))
    workspace = create_workspace(folder, "")
    db = open_database(workspace.database_file)
    with transaction(db):
        append_event(db, "tasks.added", {"hashes": {}})
    db.conn.close()
    assert verify_chain(open_to_read(workspace.database_file)) is None


def test_what_is_on_a_full_disk_can_still_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = create_workspace(tmp_path / "w", "")
    connect = store.database._connect

    def without_room(path: Path, mode: str) -> sqlite3.Connection:
        if "immutable" in mode:
            return connect(path, mode)
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMOPEN
        raise error

    monkeypatch.setattr(store.database, "_connect", without_room)
    assert fetch_value(open_to_read(workspace.database_file), "SELECT count(*) FROM tasks") == 0
    with pytest.raises(DiskFailureError, match="The file system failed"):
        open_database(workspace.database_file)
    monkeypatch.setattr("store.expected_failures.shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    with pytest.raises(DiskFailureError, match="no space is left on the disk"):
        open_database(workspace.database_file)


def test_a_missing_git_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git = GitCommand(create_workspace(tmp_path / "w", "").adapters_folder)
    assert git.text("rev-parse", "--git-dir")
    monkeypatch.setenv("PATH", str(tmp_path))
    for foreign in (None, "quiet"):
        if foreign is not None:
            monkeypatch.setenv("GIT_PYTHON_REFRESH", foreign)
        with pytest.raises(SealError, match="git is not found"):
            git.text("rev-parse", "--git-dir")
