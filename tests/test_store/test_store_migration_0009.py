"""Queue and ranking of a workspace whose schema is older than migrations 0008 and 0009."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING

import pytest

from store.clock import utc_now
from store.database import create_database, fetch, open_database
from store.events import append_event
from store.hashing import hash_json
from store.jobs import get_job, start_job
from store.migrations import migrate, shipped_migrations
from store.verify_rows import check_database, check_events, check_recorded_rows

if TYPE_CHECKING:
    from pathlib import Path

OLD_SCHEMA = 7


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    """A file of the seventh schema with one waiting job, as programs of that schema wrote it."""
    path = tmp_path / "seal.db"
    connection = sqlite3.connect(path, isolation_level=None)
    migrate(connection, path, shipped_migrations()[:OLD_SCHEMA])
    connection.close()
    return path


def add_old_job(path: Path) -> None:
    at = utc_now()
    row = {"id": 1, "kind": "run", "payload": '{"rounds":1}', "state": "waiting", "actor": "Ada", "requested_at": at}
    row |= {"finished_at": None, "result": None}
    connection = sqlite3.connect(path)
    names = ", ".join(row)
    connection.execute(f"INSERT INTO requests ({names}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", list(row.values()))  # noqa: S608
    connection.commit()
    connection.close()
    db = open_database(path)
    known = {"id": 1, "kind": "run", "state": "waiting", "actor": "Ada"}
    with db.conn:
        append_event(db, "request.added", {**known, "hash": hash_json(row)})
    db.close()


def test_old_jobs_still_verify_and_can_be_run(old_file: Path) -> None:
    add_old_job(old_file)
    db = open_database(old_file)
    assert get_job(db, 1).payload == {"rounds": 1}
    for check in (check_database, check_events, check_recorded_rows):
        assert check(db)[1] == []
    assert start_job(db, 1).state == "running"
    assert check_recorded_rows(db)[1] == []
    db.conn.execute("UPDATE jobs SET actor = 'Eve'")
    assert any(problem.startswith("job 1:") for problem in check_recorded_rows(db)[1])
    db.close()


def test_the_migrated_schema_equals_a_new_one(old_file: Path, tmp_path: Path) -> None:
    schemas = []
    for path in (old_file, tmp_path / "new.db"):
        db = create_database(path)
        schemas.append(fetch(db, "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"))
        assert migrate(db.conn, path) == []
        db.close()
    assert json.dumps(schemas[0]) == json.dumps(schemas[1])
    assert {"jobs", "jobs_by_state", "candidates_by_rank"} <= {row["name"] for row in schemas[0]}
