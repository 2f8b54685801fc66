from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import store
from store.database import fetch_value, open_database, transaction
from store.errors import CorruptError
from store.events import GENESIS_HASH, append_event, chain_head, events_after, verify_chain
from store.migrations import Migration, migrate, shipped_migrations

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
    db = open_database(path)
    db.conn.execute("INSERT INTO migrations VALUES (9999, 'future', 'sha256:0', 'later')")
    db.close()
    with pytest.raises(CorruptError, match="newer seal-console: its schema has number 9999") as caught:
        open_database(path)
    assert "upgrade" in caught.value.next_step


def test_a_migration_with_another_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "seal.db"
    db = open_database(path)
    db.conn.execute("UPDATE migrations SET hash = 'sha256:0'")
    db.close()
    with pytest.raises(CorruptError, match="a different text"):
        open_database(path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "seal.db"
    path.write_bytes(b"hello " * 1000)
    with pytest.raises(CorruptError, match=r"seal\.db cannot be used"):
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
        "import sys; from pathlib import Path; from store.database import open_database\n"
        "from store.events import append_event\n"
        "db = open_database(Path(sys.argv[1]))\n"
        "for n in range(40): append_event(db, 'tick', {'n': n})\n"
    )
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    children = [subprocess.Popen([sys.executable, "-c", code, str(path)], env=environment) for _ in range(3)]
    assert [child.wait() for child in children] == [0, 0, 0]
    db = open_database(path)
    assert chain_head(db)[0] == 120
    assert verify_chain(db) is None
    db.close()
