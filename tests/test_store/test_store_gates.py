"""Gates that stop, hold or only note: what becomes of a candidate, and stores that are older than the difference."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.candidates import gates_needing_review, gates_of, get_candidate, hash_exam, list_candidates, record_examined
from store.clock import utc_now
from store.database import fetch, fetch_value, open_database
from store.errors import WrongUseError
from store.migrations import migrate, shipped_migrations
from store.records import GateResult, OnFailure
from store.verify_rows import check_database, check_events, check_recorded_rows

if TYPE_CHECKING:
    from sqlite_utils import Database

    from store.records import Candidate
    from tests.test_store.conftest import Lab

# A seal.db as the fourth schema's own program wrote it: a passed gate and a failed one, both with their events.
OLD = Path(__file__).with_name("seal_db_0004.sql")


def result(candidate: Candidate, name: str, on_failure: OnFailure | None, *, passed: bool = False) -> GateResult:
    return GateResult(candidate.id, name, passed, {"found": 1}, utc_now(), on_failure)


def recorded(db: Database, candidate: Candidate, *gates: GateResult) -> Candidate:
    return record_examined(
        db, candidate.id, updates=[], answers=[], gates=gates, reward_mean=None, reward_std=None, audit_gain=None,
        adapter_hash=None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("on_failure", "state", "held"), [(None, "refused", False), ("hold", "examined", True), ("note", "examined", False)]
)
def test_only_a_gate_that_stops_refuses_and_only_one_that_holds_holds(
    lab: Lab, on_failure: OnFailure | None, state: str, held: bool
) -> None:
    candidate = lab.propose()
    gates = [result(candidate, "rule:a", on_failure), result(candidate, "rule:b", "hold", passed=True)]
    assert recorded(lab.db, candidate, *gates).state == state
    assert [gate.gate for gate in gates_needing_review(lab.db, candidate.id)] == (["rule:a"] if held else [])
    assert gates_of(lab.db, candidate.id) == gates
    assert check_recorded_rows(lab.db)[1] == []


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([None, "hold", "note"]))))
def test_a_gate_never_both_stops_and_holds(drawn: list[tuple[bool, OnFailure | None]]) -> None:
    for passed, on_failure in drawn:
        gate = GateResult("c", "g", passed, {}, "now", on_failure)
        assert gate.stops + gate.needs_review <= 1
        assert not (passed and (gate.stops or gate.needs_review))


def test_a_refused_candidate_that_was_never_trained_cannot_be_accepted(lab: Lab) -> None:
    candidate = lab.propose()
    recorded(lab.db, candidate, result(candidate, "rule:a", None))
    lab.adapters[candidate.id] = {}
    with pytest.raises(WrongUseError, match="refused by a gate"):
        lab.accept(candidate)


@pytest.mark.parametrize("value", ["NULL", "'note'"])
def test_verify_finds_that_a_hold_was_taken_away(lab: Lab, value: str) -> None:
    candidate = lab.propose()
    recorded(lab.db, candidate, result(candidate, "rule:a", "hold"))
    assert check_recorded_rows(lab.db)[1] == []
    lab.db.conn.execute(f"UPDATE gates SET on_failure = {value}")  # noqa: S608
    assert any("gates" in problem for problem in check_recorded_rows(lab.db)[1])


def test_no_other_value_of_on_failure_is_accepted(lab: Lab) -> None:
    candidate = lab.propose()
    recorded(lab.db, candidate, result(candidate, "rule:a", "hold"))
    with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
        lab.db.conn.execute("UPDATE gates SET on_failure = 'forget'")


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    path = tmp_path / "seal.db"
    connection = sqlite3.connect(path)
    connection.executescript(OLD.read_text(encoding="utf-8"))
    connection.close()
    return path


def test_an_older_stores_gates_stop_as_they_did_and_every_hash_still_holds(old_file: Path) -> None:
    connection = sqlite3.connect(old_file)
    before = connection.execute("SELECT candidate_id, gate, passed, evidence, decided_at FROM gates").fetchall()
    assert connection.execute("SELECT max(number) FROM migrations").fetchone() == (4,)
    connection.close()
    db = open_database(old_file)
    after = fetch(db, "SELECT * FROM gates")
    assert [tuple(row.values()) for row in after] == [(*row, None) for row in before]
    assert sorted(row["passed"] for row in after) == [0, 1]
    for check in (check_database, check_events, check_recorded_rows):
        count, problems = check(db)
        assert (count > 0, problems) == (True, [])
    assert sorted(candidate.state for candidate in list_candidates(db)) == ["proposed", "refused", "rejected"]
    db.close()


def test_an_older_store_that_is_brought_up_to_date_takes_what_is_new(old_file: Path) -> None:
    db = open_database(old_file)
    (waiting,) = list_candidates(db, state="proposed")
    old_hashes = {one.id: hash_exam(db, one) for one in list_candidates(db) if one.id != waiting.id}
    assert recorded(db, waiting, result(waiting, "rule:a", "hold")).state == "examined"
    assert [gate.gate for gate in gates_needing_review(db, waiting.id)] == ["rule:a"]
    assert {one: hash_exam(db, get_candidate(db, one)) for one in old_hashes} == old_hashes
    assert check_recorded_rows(db)[1] == []
    assert migrate(db.conn, old_file) == []
    assert fetch_value(db, "SELECT max(number) FROM migrations") == len(shipped_migrations())
    db.close()
