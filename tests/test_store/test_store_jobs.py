from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, cast

import pytest

from store.database import fetch, open_database
from store.errors import WrongUseError
from store.events import events_after
from store.jobs import (
    add_job,
    ask_to_stop,
    cancel_waiting,
    drop_stale_stops,
    finish_job,
    get_job,
    list_jobs,
    next_waiting,
    note_job,
    requeue_abandoned,
    start_job,
    take_stop,
)
from store.verify_rows import check_recorded_rows

if TYPE_CHECKING:
    from sqlite_utils import Database

    from store.records import Job
    from store.workspace import Workspace


def kinds(db: Database) -> list[str]:
    return [event.kind for event in events_after(db, 0)]


def test_a_job_waits_runs_and_ends(db: Database) -> None:
    asked = add_job(db, "run", {"rounds": 2}, "Ada")
    assert (asked.id, asked.state, asked.actor, asked.payload) == (1, "waiting", "Ada", {"rounds": 2})
    assert next_waiting(db) == asked == get_job(db, 1)
    assert start_job(db, 1).state == "running"
    assert next_waiting(db) is None
    note_job(db, 1, {"first_round": 7})
    assert get_job(db, 1).result == {"starts": 1, "first_round": 7}
    done = finish_job(db, 1, "done", {"rounds": []})
    assert (done.state, done.result) == ("done", {"rounds": []})
    assert done.finished_at is not None
    assert kinds(db) == ["job.added", "job.started", "job.noted", "job.finished"]
    assert check_recorded_rows(db)[1] == []


def test_the_oldest_is_next_and_the_newest_is_listed_first(db: Database) -> None:
    ask_to_stop(db, "Ada")
    first, second = (add_job(db, "reexamine", {"candidate": str(n)}, "Ada") for n in range(2))
    assert next_waiting(db) == first
    start_job(db, first.id)
    assert next_waiting(db) == second
    assert [one.id for one in list_jobs(db)] == [3, 2, 1]
    assert [one.id for one in list_jobs(db, state="waiting", limit=1)] == [3]


def test_a_job_changes_only_as_it_can(db: Database) -> None:
    add_job(db, "run", {"rounds": 1}, "Ada")
    with pytest.raises(WrongUseError, match=r"Job 1 .* is not running: it is waiting"):
        finish_job(db, 1, "done", {})
    cancelled = cancel_waiting(db, 1, "Bob")
    assert (cancelled.state, cancelled.result) == ("cancelled", {"cancelled_by": "Bob"})
    with pytest.raises(WrongUseError, match="it is cancelled since 20"):
        start_job(db, 1)
    with pytest.raises(WrongUseError, match="it is cancelled since 20"):
        cancel_waiting(db, 1, "Ada")
    with pytest.raises(WrongUseError, match="no job 9"):
        get_job(db, 9)
    assert kinds(db) == ["job.added", "job.cancelled"]


@pytest.mark.parametrize(("kind", "actor", "said"), [("dance", "Ada", "run, reexamine"), ("run", " ", "name of who")])
def test_invalid_jobs_are_refused(db: Database, kind: str, actor: str, said: str) -> None:
    with pytest.raises(WrongUseError, match=said):
        add_job(db, cast("Any", kind), {}, actor)
    assert list_jobs(db) == []


def test_all_waiting_stops_count_as_one(db: Database) -> None:
    assert take_stop(db) is None
    for actor in ("Ada", "Bob"):
        ask_to_stop(db, actor)
    heard = take_stop(db)
    assert heard is not None
    assert (heard.actor, heard.state) == ("Ada", "done")
    assert take_stop(db) is None
    assert [one.state for one in list_jobs(db)] == ["done", "done"]


def test_stops_that_meant_an_earlier_engine_are_dropped(db: Database) -> None:
    old, new = ask_to_stop(db, "Ada"), ask_to_stop(db, "Ada")
    db.conn.execute("UPDATE jobs SET requested_at = '2020-01-01T00:00:00.000Z' WHERE id = ?", (old.id,))
    assert drop_stale_stops(db, before=new.requested_at) == 1
    assert [get_job(db, one.id).state for one in (old, new)] == ["cancelled", "waiting"]
    assert drop_stale_stops(db) == 1
    assert take_stop(db) is None


def test_what_a_dead_engine_was_at_waits_again_and_is_not_tried_for_ever(db: Database) -> None:
    add_job(db, "run", {"rounds": 1}, "Ada")
    for starts in (1, 2):
        assert start_job(db, 1).result == {"starts": starts}
        [again] = requeue_abandoned(db)
        assert (again.state, again.finished_at) == ("waiting", None)
    start_job(db, 1)
    [given_up] = requeue_abandoned(db)
    assert given_up.state == "failed"
    assert given_up.result is not None
    assert "3 times" in given_up.result["error"]
    assert given_up.result["next_step"]
    assert requeue_abandoned(db) == []
    assert check_recorded_rows(db)[1] == []


@pytest.mark.parametrize("sql", ["UPDATE jobs SET actor = 'Eve'", "DELETE FROM jobs"])
def test_a_changed_job_is_found(db: Database, sql: str) -> None:
    add_job(db, "run", {"rounds": 1}, "Ada")
    db.conn.execute(sql)
    assert any(problem.startswith("job 1:") for problem in check_recorded_rows(db)[1])


def test_jobs_added_during_verification_are_no_problem(
    workspace: Workspace, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask_and_list(verifying: Database) -> list[Job]:
        with closing(open_database(workspace.database_file)) as other:
            add_job(other, "run", {"rounds": 1}, "Ada")
        return list_jobs(verifying)

    monkeypatch.setattr("store.verify_rows.list_jobs", ask_and_list)
    assert check_recorded_rows(db)[1] == []
    assert len(list_jobs(db)) == 1


def test_a_change_and_its_event_are_one(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("store.jobs.append_event", fail)
    with pytest.raises(OSError, match="disk full"):
        add_job(db, "run", {"rounds": 1}, "Ada")
    assert fetch(db, "SELECT * FROM jobs") == []
