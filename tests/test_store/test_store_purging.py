"""A task's text can be taken out for good; everything else, and the log, still verify."""

from __future__ import annotations

import sqlite3
import subprocess
from typing import TYPE_CHECKING

import pytest

from store.adapter_files import CARD_NAME, MANIFEST_NAME
from store.alarms import list_alarms, raise_alarm, record_measures
from store.answers import record_base_answers
from store.candidates import decisions_of, get_candidate, reject
from store.database import execute, fetch, fetch_value
from store.errors import NothingToDoError, WrongUseError
from store.events import events_after
from store.purging import PURGED_KIND, PURGED_TITLE, plan_purge, purge_task
from store.records import Answer
from store.repository import Repository
from store.review_queue import count_waiting
from store.rounds import finish_round, open_round
from store.tasks import add_tasks, get_task, list_tasks
from store.undoing import undo_last
from store.verify import verify
from tests.test_store.conftest import make_task

if TYPE_CHECKING:
    from tests.test_store.conftest import Lab

CUSTOMER = "Acme ships in 30 days"


@pytest.fixture
def done(lab: Lab) -> Lab:
    """A finished round about one task, with another task that nobody worked on."""
    add_tasks(lab.db, [make_task(2)])
    reject(lab.db, lab.examined().id, "Ada", "no")
    lab.propose()
    question = lab.task.questions[0]
    answer = Answer(question.id, None, 0, "before", "base", f"{CUSTOMER}!", 0.0, correct=False, base_fingerprint="f")
    record_base_answers(lab.db, [answer])
    current = open_round(lab.db)
    assert current is not None
    finish_round(lab.db, current.number, "done", {})
    return lab


def purge(lab: Lab) -> None:
    purge_task(lab.db, lab.task.id, "Ada", "it names a customer")


def test_the_text_is_gone_from_every_row_and_from_the_files(done: Lab) -> None:
    assert plan_purge(done.db, done.task.id).candidates == 2
    purge(done)
    task = get_task(done.db, done.task.id)
    assert (task.title, task.context, {q.text for q in task.questions}) == (PURGED_TITLE, "", {""})
    rows = fetch(done.db, "SELECT * FROM candidates WHERE task_id = ?", (done.task.id,))
    assert [(row["prompt"], row["completion"], row["sequences"]) for row in rows] == [("", "", "[]")] * 2
    assert fetch_value(done.db, "SELECT count(*) FROM answers WHERE text <> ''") == 0
    other = make_task(2)
    assert get_task(done.db, other.id).context == other.context
    execute(done.db, "DELETE FROM questions WHERE task_id = ?", (other.id,))  # the other task has the same text
    execute(done.db, "DELETE FROM tasks WHERE id = ?", (other.id,))
    done.db.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for file in done.workspace.root.glob("seal.db*"):
        assert CUSTOMER.encode() not in file.read_bytes()


def test_everything_still_verifies_and_the_fact_stays(done: Lab) -> None:
    purge(done)
    assert verify(done.workspace, done.db).problems == []
    (event,) = [event for event in events_after(done.db, 0) if event.kind == PURGED_KIND]
    assert (event.payload["task"], event.payload["actor"]) == (done.task.id, "Ada")
    assert CUSTOMER not in str(event.payload)
    assert get_candidate(done.db, f"sha256:{0xC00001:064x}").reward_mean == 0.5


def raise_quoting_alarm(lab: Lab) -> None:
    number = lab.examined().round_number
    examples = [
        {
            "task": "Acme",
            "candidate": one["id"],
            "self_edit": CUSTOMER,
            "question": "q",
            "expected": "e",
            "commonest": "c",
        }
        for one in fetch(lab.db, "SELECT id FROM candidates ORDER BY id")
    ]
    record_measures(lab.db, number, {"commonest": CUSTOMER, "one_answer": 0.9})
    raise_alarm(lab.db, number, "one answer", {"answer": CUSTOMER, "share": 0.9, "examples": examples})


def test_what_alarms_quote_goes_and_their_figures_stay(lab: Lab) -> None:
    raise_quoting_alarm(lab)
    current = open_round(lab.db)
    assert current is not None
    finish_round(lab.db, current.number, "done", {})
    schema = fetch(lab.db, "SELECT name, sql FROM sqlite_schema ORDER BY name")
    purge(lab)
    [alarm] = list_alarms(lab.db)
    assert (alarm.evidence["answer"], alarm.evidence["share"]) == ("", 0.9)
    assert {example["self_edit"] for example in alarm.evidence["examples"]} == {""}
    assert verify(lab.workspace, lab.db).problems == []
    assert fetch(lab.db, "SELECT name, sql FROM sqlite_schema ORDER BY name") == schema
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        execute(lab.db, "UPDATE alarms SET evidence = '{}'")


def test_a_row_that_two_purges_emptied_still_verifies(lab: Lab) -> None:
    other = make_task(2)
    add_tasks(lab.db, [other])
    raise_quoting_alarm(lab)
    current = open_round(lab.db)
    assert current is not None
    first = fetch(lab.db, "SELECT id FROM candidates ORDER BY id")[0]["id"]
    lab.propose()
    execute(lab.db, "UPDATE candidates SET task_id = ? WHERE id <> ?", (other.id, first))
    before = verify(lab.workspace, lab.db).problems
    finish_round(lab.db, current.number, "done", {})
    for task in (lab.task.id, other.id):
        purge_task(lab.db, task, "Ada", "it names a customer")
    assert [one for one in verify(lab.workspace, lab.db).problems if "alarm" in one or "measures" in one] == []
    assert not [one for one in before if "alarm" in one]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE tasks SET context = 'back' WHERE title = '(purged)'",
        "UPDATE candidates SET completion = 'back' WHERE prompt = ''",
        "UPDATE candidates SET reward_mean = 1 WHERE reward_mean = 0.5",
        "UPDATE answers SET text = 'back' WHERE candidate_id IS NULL",
        "UPDATE questions SET answers = '[\"back\"]' WHERE text = ''",
    ],
)
def test_a_purged_row_that_was_changed_since_is_found(done: Lab, change: str) -> None:
    purge(done)
    execute(done.db, change)
    assert verify(done.workspace, done.db).problems


def test_the_same_content_is_not_added_again(done: Lab) -> None:
    purge(done)
    assert add_tasks(done.db, [done.task]).already_there == 1
    with pytest.raises(NothingToDoError, match="was purged before"):
        purge(done)


def test_what_was_purged_waits_for_nobody_and_takes_no_part_in_rounds(lab: Lab) -> None:
    candidate = lab.examined()
    current = open_round(lab.db)
    assert current is not None
    finish_round(lab.db, current.number, "done", {})
    assert count_waiting(lab.db) == 1
    purge(lab)
    assert count_waiting(lab.db) == 0
    assert get_candidate(lab.db, candidate.id).state == "rejected"
    assert decisions_of(lab.db, candidate.id)[0].reason == "its text is purged: it names a customer"
    assert (len(list_tasks(lab.db)), list_tasks(lab.db, purged=False)) == (1, [])
    with pytest.raises(NothingToDoError):
        undo_last(lab.db, "Ada", "oh")
    assert verify(lab.workspace, lab.db).problems == []


def test_what_is_in_git_or_in_use_is_refused(lab: Lab) -> None:
    candidate = lab.examined()
    current = open_round(lab.db)
    assert current is not None
    settings = f'{{"chosen_tasks": {{"train": ["{lab.task.id}"], "held_out": []}}}}'
    execute(lab.db, "UPDATE rounds SET settings = ? WHERE number = ?", (settings, current.number))
    with pytest.raises(WrongUseError, match="round 1 is not finished and uses it") as refused:
        purge(lab)
    assert "rounds abandon 1" in refused.value.next_step
    finish_round(lab.db, current.number, "done", {})
    lab.accept(candidate)
    with pytest.raises(WrongUseError, match="v0001 in adapters/ was made from it"):
        purge(lab)
    assert get_task(lab.db, lab.task.id).context


def test_who_and_why_are_required(done: Lab) -> None:
    for actor, reason in (("", "x"), ("Ada", " ")):
        with pytest.raises(WrongUseError, match="name of who purges and a reason"):
            purge_task(done.db, done.task.id, actor, reason)


def test_of_a_versions_files_card_and_manifest_quote_its_text_as_the_page_says(lab: Lab) -> None:
    version = lab.accept()
    repository = Repository.open(lab.workspace.adapters_folder)
    quoting = [
        name
        for name in repository.file_names(version.commit)
        if CUSTOMER.encode() in repository.read_file(version.commit, name)
    ]
    assert quoting == [CARD_NAME, MANIFEST_NAME]
    log = ["git", "-C", str(repository.folder), "log", "--all", "--format=%B"]
    assert CUSTOMER not in subprocess.run(log, check=True, capture_output=True, text=True).stdout
    with pytest.raises(WrongUseError, match=r"manifest\.json and README\.md") as refused:
        plan_purge(lab.db, lab.task.id)
    assert "new workspace" in refused.value.next_step
