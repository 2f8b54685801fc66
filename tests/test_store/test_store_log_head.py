"""The end of the event log: lost with seal.db-wal, taken from an older copy, cut, rewritten."""

from __future__ import annotations

import shutil
import sqlite3
from typing import TYPE_CHECKING

import pytest

from store.candidates import reject
from store.database import execute, fetch, open_database
from store.errors import CorruptError
from store.events import append_event, chain_head
from store.log_head import head_file
from store.recovery import recover
from store.verify import unvouched, verify
from store.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from tests.test_store.conftest import Lab


def cut_last_event(lab: Lab) -> None:
    triggers = fetch(lab.db, "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'events'")
    for trigger in triggers:
        execute(lab.db, f"DROP TRIGGER {trigger['name']}")
    execute(lab.db, "DELETE FROM events WHERE sequence = (SELECT max(sequence) FROM events)")
    for trigger in triggers:
        execute(lab.db, trigger["sql"])


def test_the_end_is_kept_before_a_decision_is_confirmed(lab: Lab) -> None:
    candidate = lab.examined()
    before = head_file(lab.workspace.database_file).read_text()
    reject(lab.db, candidate.id, "Ada", "dull")
    after = head_file(lab.workspace.database_file).read_text()
    assert before != after
    assert chain_head(lab.db)[1] in after


def test_a_copy_without_the_wal_is_noticed_and_not_written_to(lab: Lab, tmp_path: Path) -> None:
    candidate = lab.examined()
    lab.db.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    reject(lab.db, candidate.id, "Ada", "dull")
    shutil.copytree(lab.workspace.root, tmp_path / "copy", ignore=shutil.ignore_patterns("seal.db-wal", "seal.db-shm"))
    copy = Workspace(tmp_path / "copy")
    db = open_database(copy.database_file)
    assert fetch(db, "SELECT * FROM decisions") == []
    (problem,) = verify(copy, db).problems
    assert problem.startswith("events: the log ends with event 4, but it had 5: its end is lost")
    with pytest.raises(CorruptError, match="its end is lost") as caught:
        recover(copy, db)
    append_event(db, "anything", {})
    append_event(db, "anything", {})
    assert "rewritten" in verify(copy, db).problems[0]  # what follows does not cover it up
    command, _, path = caught.value.next_step.rpartition(": ")[2].partition(" ")
    assert (command, path) == ("rm", str(head_file(copy.database_file)))
    head_file(copy.database_file).unlink()
    recover(copy, db)
    assert verify(copy, db).problems == []
    db.close()


def test_a_decision_cut_off_with_its_event_is_noticed(lab: Lab) -> None:
    candidate = lab.examined()
    lab.accept()
    reject(lab.db, candidate.id, "Ada", "dull")
    _, noted = chain_head(lab.db)
    cut_last_event(lab)
    assert any("its end is lost" in problem for problem in verify(lab.workspace, lab.db).problems)
    head_file(lab.workspace.database_file).unlink()
    assert not any("its end is lost" in problem for problem in verify(lab.workspace, lab.db).problems)
    found = verify(lab.workspace, lab.db, since=noted).problems
    assert f"events: none has the hash {noted}: the log was cut or rewritten after that was noted" in found


def test_a_noted_end_is_vouched_for(lab: Lab) -> None:
    lab.accept()
    sequence, noted = chain_head(lab.db)
    assert verify(lab.workspace, lab.db, since=noted).problems == []
    assert len(unvouched(lab.db, noted)) == 1
    assert unvouched(lab.db)[0].startswith(f"Events 1 to {sequence}, ")
    append_event(lab.db, "anything", {})
    assert verify(lab.workspace, lab.db, since=noted).problems == []
    assert unvouched(lab.db, noted)[0].startswith(f"Event {sequence + 1}, ")


def test_a_workspace_of_an_older_release_keeps_its_end_from_the_next_change_on(lab: Lab) -> None:
    lab.accept()
    file = head_file(lab.workspace.database_file)
    file.unlink()
    recover(lab.workspace, lab.db)
    assert verify(lab.workspace, lab.db).problems == []
    append_event(lab.db, "anything", {})
    assert chain_head(lab.db)[1] in file.read_text()


def test_an_unreadable_end_is_reported(lab: Lab) -> None:
    lab.accept()
    head_file(lab.workspace.database_file).write_bytes(b"")
    assert any("cannot be read" in problem for problem in verify(lab.workspace, lab.db).problems)


def test_a_full_disk_does_not_turn_a_recorded_decision_into_a_failure(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate = lab.examined()

    def fail(*_: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr("store.log_head.write_file", fail)
    assert reject(lab.db, candidate.id, "Ada", "dull").state == "rejected"
    monkeypatch.undo()
    assert verify(lab.workspace, lab.db).problems == []


def test_a_transaction_that_fails_keeps_nothing(lab: Lab) -> None:
    before = head_file(lab.workspace.database_file).read_text()
    with pytest.raises(sqlite3.IntegrityError):
        execute(lab.db, "INSERT INTO events VALUES (1, 'x', 'x', '{}', 'x', 'x')")
    assert head_file(lab.workspace.database_file).read_text() == before
