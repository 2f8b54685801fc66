"""Measures and alarms stay as recorded, are vouched for by the event log, and stand until they are cleared."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from store.alarms import (
    active_alarms,
    clear_alarms,
    cleared_until,
    clearings,
    find_alarms,
    list_alarms,
    measures_of,
    raise_alarm,
    record_measures,
)
from store.errors import NothingToDoError, WrongUseError
from store.events import chain_head, events_after
from store.rounds import finish_round, start_round
from store.verify_rows import check_recorded_rows

if TYPE_CHECKING:
    from sqlite_utils import Database


@pytest.fixture(autouse=True)
def _two_rounds(db: Database) -> None:
    for _ in range(2):
        started = start_round(db, seed=0, settings={}, live_version=None, policy_version=None)
        finish_round(db, started.number, "done", {})


def test_measures_are_kept_once(db: Database) -> None:
    first = record_measures(db, 1, {"echo": {"t": 0.5}})
    head = chain_head(db)
    assert record_measures(db, 1, {"echo": {"t": 0.9}}) == first
    assert chain_head(db) == head
    assert measures_of(db, 1) == first
    assert measures_of(db, 2) is None


def test_a_round_raises_an_alarm_once_and_a_later_round_raises_it_again(db: Database) -> None:
    first = raise_alarm(db, 1, "echo", {"mean": 0.9})
    head = chain_head(db)
    assert raise_alarm(db, 1, "echo", {"mean": 0.1}) == first
    assert chain_head(db) == head
    second = raise_alarm(db, 2, "echo", {"mean": 0.95})
    assert [alarm.id for alarm in list_alarms(db)] == [1, 2]
    assert list_alarms(db, round_number=2) == active_alarms(db)[1:] == [second]


def test_an_alarm_is_active_until_it_is_cleared_by_number(db: Database) -> None:
    raise_alarm(db, 1, "echo", {})
    raise_alarm(db, 2, "echo", {})
    assert cleared_until(db, "echo") is None
    (cleared,) = clear_alarms(db, "1", "Ada", "a list of prices")
    assert cleared.id == 1
    assert [alarm.id for alarm in active_alarms(db)] == [2]
    assert clearings(db)[1].actor == "Ada"
    assert cleared_until(db, "echo") == 1
    with pytest.raises(NothingToDoError, match="a list of prices"):
        clear_alarms(db, "1", "Bob", "again")
    last = events_after(db, 0)[-1]
    assert (last.kind, last.payload["clearing"]["reason"]) == ("alarm.cleared", "a list of prices")


def test_clearing_by_name_clears_all_active_ones_and_no_others(db: Database) -> None:
    for round_number, name in ((1, "echo"), (1, "one answer"), (2, "echo")):
        raise_alarm(db, round_number, name, {})
    clear_alarms(db, "1", "Ada", "first")
    assert [alarm.id for alarm in clear_alarms(db, "echo", "Ada", "all of it")] == [3]
    assert clearings(db)[1].reason == "first"
    assert [alarm.name for alarm in active_alarms(db)] == ["one answer"]
    assert [alarm.id for alarm in find_alarms(db, "echo")] == [1, 3]


@pytest.mark.parametrize(
    ("expected", "actor", "reason"), [("9", "Ada", "x"), ("eco", "Ada", "x"), ("1", " ", "x"), ("1", "Ada", " ")]
)
def test_a_clearing_names_an_alarm_a_person_and_a_reason(db: Database, expected: str, actor: str, reason: str) -> None:
    raise_alarm(db, 1, "echo", {})
    with pytest.raises(WrongUseError):
        clear_alarms(db, expected, actor, reason)
    assert len(active_alarms(db)) == 1


@pytest.mark.parametrize("table", ["round_measures", "alarms", "alarm_clearings"])
def test_rows_are_append_only(db: Database, table: str) -> None:
    _fill(db)
    column = "alarm_id" if table == "alarm_clearings" else "round_number"
    for sql in (f"UPDATE {table} SET {column} = 2", f"DELETE FROM {table}"):  # noqa: S608
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            db.conn.execute(sql)


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("UPDATE round_measures SET measures = '{}'", "measures of round 1"),
        ("DELETE FROM round_measures", "its row is missing"),
        ("UPDATE alarms SET name = 'harmless' WHERE id = 1", "alarm 1"),
        ("DELETE FROM alarms WHERE id = 2", "alarm 2: its row is missing"),
        ("INSERT INTO alarms VALUES (9, 'x', 2, '{}', 'now')", "alarm 9"),
        ("UPDATE alarm_clearings SET reason = 'other'", "is in no event"),
        ("DELETE FROM alarm_clearings", "of the event log is missing"),
        ("INSERT INTO alarm_clearings VALUES (2, 'Eve', 'quiet', 'now')", "is in no event"),
    ],
)
def test_verify_finds_rows_that_are_not_as_recorded(db: Database, sql: str, named: str) -> None:
    _fill(db)
    assert check_recorded_rows(db)[1] == []
    for row in db.query(
        "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND name GLOB '*_stay' OR name GLOB '*_remain'"
    ):
        db.conn.execute(f"DROP TRIGGER {row['name']}")
    db.conn.execute("PRAGMA foreign_keys = OFF")
    db.conn.execute(sql)
    problems = check_recorded_rows(db)[1]
    assert problems
    assert any(named in problem for problem in problems)


def _fill(db: Database) -> None:
    record_measures(db, 1, {"echo": {"t": 0.5}})
    raise_alarm(db, 1, "echo", {"mean": 0.9})
    raise_alarm(db, 2, "echo", {"mean": 0.9})
    clear_alarms(db, "1", "Ada", "fine")
