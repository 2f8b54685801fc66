"""The migration that consoles need: on an empty file, on a file of the first schema with something in it, and twice."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from store.candidates import get_candidate, list_candidates
from store.database import create_database, fetch, fetch_value, open_database
from store.migrations import migrate, shipped_migrations
from store.undoing import undo_last
from store.verify_rows import check_database, check_events, check_recorded_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlite_utils import Database

# A seal.db as the first schema's own program wrote it: versions, decisions of each kind, and an unfinished round.
OLD = Path(__file__).with_name("seal_db_0001.sql")


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    path = tmp_path / "seal.db"
    connection = sqlite3.connect(path)
    connection.executescript(OLD.read_text(encoding="utf-8"))
    connection.close()
    return path


@pytest.fixture
def migrated(old_file: Path) -> Iterator[Database]:
    db = open_database(old_file)
    yield db
    db.close()


def contents(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    connection = sqlite3.connect(path)
    names = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'migrations'"
    ).fetchall()
    rows = {name: connection.execute(f"SELECT * FROM {name}").fetchall() for (name,) in names}  # noqa: S608
    connection.close()
    return rows


def test_nothing_is_lost_and_every_hash_still_holds(old_file: Path) -> None:
    before = contents(old_file)
    db = open_database(old_file)
    after = contents(old_file)
    before["jobs"] = before.pop("requests")
    for table in ("candidates", "gates", "answers"):
        before[table] = [(*row, None) for row in before[table]]
    before["candidates"] = [(*row, "[]") for row in before["candidates"]]
    before["answers"] = [(*row, None, 0) for row in before["answers"]]
    assert {name: after[name] for name in before} == before
    assert len(before["decisions"]) > 5
    for check in (check_database, check_events, check_recorded_rows):
        count, problems = check(db)
        assert (count > 0, problems) == (True, [])
    db.close()


def test_a_file_that_was_brought_up_to_date_has_the_schema_of_a_new_one(old_file: Path, tmp_path: Path) -> None:
    schemas = []
    for path in (old_file, tmp_path / "new.db"):
        db = create_database(path)
        schemas.append(fetch(db, "SELECT type, name, tbl_name FROM sqlite_schema ORDER BY type, name"))
        assert fetch_value(db, "SELECT max(number) FROM migrations") == len(shipped_migrations())
        assert migrate(db.conn, path) == []
        db.close()
    assert schemas[0] == schemas[1]


def test_a_migration_that_is_cut_off_leaves_the_old_schema(old_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(old_file)

    def fail() -> str:
        raise OSError("no more disk")

    monkeypatch.setattr("store.migrations.utc_now", fail)
    with pytest.raises(OSError, match="no more disk"):
        open_database(old_file)
    monkeypatch.undo()
    assert contents(old_file) == before
    open_database(old_file).close()


def test_old_decisions_can_be_undone_and_stay_append_only(migrated: Database) -> None:
    undone = undo_last(migrated, "Bob")
    assert undone.candidate.state == "deferred"
    assert get_candidate(migrated, undone.candidate.id).state == "deferred"
    assert check_recorded_rows(migrated)[1] == []
    for sql in ("UPDATE decisions SET reason = 'x'", "DELETE FROM decisions"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            migrated.conn.execute(sql)
    with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
        migrated.conn.execute("INSERT INTO decisions VALUES (99, ?, 'forget', 'a', 'b', 'c')", (undone.candidate.id,))


def test_candidates_are_distinguished_by_origin(migrated: Database) -> None:
    assert list_candidates(migrated, derived=True) == []
    assert list_candidates(migrated, derived=False) == list_candidates(migrated)
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        migrated.conn.execute("UPDATE candidates SET derived_from = 'none'")


@pytest.mark.parametrize(
    ("sql", "index"),
    [
        (
            "id FROM candidates WHERE imported = 0 AND state = 'deferred' ORDER BY reward_mean DESC",
            "candidates_in_review",
        ),
        ("state, count(*) FROM candidates WHERE imported = 0 GROUP BY state", "COVERING INDEX candidates_in_review"),
        ("state, count(*) FROM candidates GROUP BY state", "COVERING INDEX candidates_by_state"),
        ("id FROM candidates WHERE derived_from = 'x'", "candidates_derived"),
        ("* FROM decisions WHERE actor = 'x' ORDER BY id DESC", "decisions_of_actor"),
    ],
)
def test_the_queries_of_a_console_use_an_index_and_sort_nothing(migrated: Database, sql: str, index: str) -> None:
    plan = " | ".join(row["detail"] for row in fetch(migrated, f"EXPLAIN QUERY PLAN SELECT {sql}"))
    assert index in plan
    assert "TEMP B-TREE" not in plan
