from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.answers import base_answers, record_base_answers
from store.candidate_states import ALLOWED_MOVES, require_move
from store.candidates import (
    add_candidates,
    answers_of,
    decisions_of,
    defer,
    gates_of,
    get_candidate,
    inner_updates_of,
    list_candidates,
    reject,
)
from store.durable import TEMPORARY_SUFFIX
from store.errors import NothingToDoError, WrongUseError
from store.events import chain_head
from store.lock import hold_lock
from store.records import Answer, Candidate, CandidateState, Decision
from store.recovery import recover
from store.rounds import (
    finish_round,
    get_round,
    interrupt_round,
    latest_round,
    list_rounds,
    open_round,
    resume_round,
    start_round,
)
from store.tasks import add_tasks, get_task, list_tasks

if TYPE_CHECKING:
    from sqlite_utils import Database

    from store.records import Round
    from tests.test_store.conftest import Lab

STATES: list[CandidateState] = ["proposed", "examined", "accepted", "rejected", "deferred", "refused"]


def begin(db: Database, *, imported: bool = False) -> Round:
    return start_round(db, seed=1, settings={}, live_version=None, policy_version=None, imported=imported)


def other_task(lab: Lab, task_id: str) -> None:
    questions = [replace(q, id=f"{task_id}/{q.position}", task_id=task_id) for q in lab.task.questions]
    add_tasks(lab.db, [replace(lab.task, id=task_id, questions=questions)])


def test_tasks_come_back_as_they_went_in(lab: Lab) -> None:
    assert get_task(lab.db, lab.task.id) == lab.task
    (listed,) = list_tasks(lab.db)
    assert (listed.reward_questions, listed.audit_questions) == (2, 2)
    assert list_tasks(lab.db, imported=True) == []


def test_known_tasks_are_skipped_and_counted(lab: Lab) -> None:
    events = chain_head(lab.db)
    added = add_tasks(lab.db, [lab.task, lab.task])
    assert (added.new_ids, added.already_there) == ([], 2)
    assert chain_head(lab.db) == events


def test_tasks_are_added_all_or_none(lab: Lab) -> None:
    good = replace(lab.task, id="sha256:ab", questions=[])
    bad = replace(lab.task, id="sha256:cd")
    with pytest.raises(Exception, match="UNIQUE"):
        add_tasks(lab.db, [good, bad])
    assert len(list_tasks(lab.db)) == 1


def test_ids_may_be_shortened_while_they_are_unambiguous(lab: Lab) -> None:
    other_task(lab, "sha256:abcd12")
    other_task(lab, "sha256:abcd34")
    assert get_task(lab.db, "abcd1").id == "sha256:abcd12"
    assert get_task(lab.db, "sha256:abcd3").id == "sha256:abcd34"
    with pytest.raises(WrongUseError, match=r"2 tasks: sha256:abcd12, sha256:abcd34"):
        get_task(lab.db, "abcd")
    for unknown in ("zzzz", "", "%%%%", "____"):
        with pytest.raises(WrongUseError, match="There is no task"):
            get_task(lab.db, unknown)


def test_a_short_number_is_no_id(lab: Lab) -> None:
    other_task(lab, "sha256:5bcd12")
    for short in ("5", "5bc", "sha256:5"):
        with pytest.raises(WrongUseError, match="is too short for the id of a task"):
            get_task(lab.db, short)


def test_rounds_run_one_at_a_time(db: Database) -> None:
    with pytest.raises(NothingToDoError):
        latest_round(db)
    first = begin(db)
    with pytest.raises(WrongUseError, match="Round 1 is running"):
        begin(db)
    assert interrupt_round(db, 1).state == "interrupted"
    assert open_round(db) == replace(first, state="interrupted")
    assert resume_round(db, 1) == first
    done = finish_round(db, 1, "done", {"accuracy": 0.5})
    assert (done.state, done.summary, open_round(db)) == ("done", {"accuracy": 0.5}, None)
    with pytest.raises(WrongUseError, match="ended as done"):
        finish_round(db, 1, "failed", {})
    assert begin(db).number == 2
    with pytest.raises(WrongUseError, match="no round 7"):
        get_round(db, 7)


def test_imported_rounds_are_separate(db: Database) -> None:
    begin(db)
    assert begin(db, imported=True).number == 2
    assert latest_round(db).number == 1
    assert [found.number for found in list_rounds(db, imported=True)] == [2]


def test_all_that_was_measured_comes_back(lab: Lab) -> None:
    candidate = lab.examined()
    assert get_candidate(lab.db, candidate.id) == candidate
    assert candidate.state == "examined"
    assert [update.losses for update in inner_updates_of(lab.db, candidate.id)] == [[2.0, 1.0]]
    assert len(answers_of(lab.db, candidate.id)) == 4
    assert gates_of(lab.db, candidate.id)[0].evidence == {"gain": 0.5}


def test_a_candidate_is_examined_once(lab: Lab) -> None:
    candidate = lab.examined()
    with pytest.raises(WrongUseError, match="is examined already"):
        lab.examine(candidate)
    assert lab.examine(lab.propose(), passed=False).state == "refused"


def test_a_failed_record_leaves_nothing(lab: Lab) -> None:
    candidate = lab.propose()
    lab.task.questions.append(replace(lab.task.questions[0], id="unknown"))
    with pytest.raises(Exception, match="FOREIGN KEY"):
        lab.examine(candidate)
    assert get_candidate(lab.db, candidate.id).state == "proposed"
    assert inner_updates_of(lab.db, candidate.id) == []


def test_candidates_are_listed_by_any_condition(lab: Lab) -> None:
    first, second, held_out = lab.examined(), lab.propose(), lab.propose("held_out")
    assert list_candidates(lab.db) == [first, second, held_out]
    assert list_candidates(lab.db, state="examined", round_number=1, role="train", imported=False) == [first]
    assert list_candidates(lab.db, role="held_out", task_id=lab.task.id) == [held_out]
    assert list_candidates(lab.db, limit=1) == [first]
    assert list_candidates(lab.db, imported=True) == []
    with pytest.raises(WrongUseError, match="must be proposed"):
        add_candidates(lab.db, [replace(first, id="sha256:new")])


def test_decisions_are_kept_with_who_and_why(lab: Lab) -> None:
    candidate = lab.examined()
    assert defer(lab.db, candidate.id, "Ada", "later").state == "deferred"
    with pytest.raises(WrongUseError, match=r"has been deferred since .*, by Ada \(later\)"):
        defer(lab.db, candidate.id, "Bob", "me too")
    reject(lab.db, candidate.id, "Bob", "no")
    assert [(d.action, d.actor, d.reason) for d in decisions_of(lab.db, candidate.id)] == [
        ("defer", "Ada", "later"),
        ("reject", "Bob", "no"),
    ]
    with pytest.raises(WrongUseError, match="by Bob"):
        reject(lab.db, candidate.id, "Eve", "also")


def test_imported_candidates_are_not_decided_about(lab: Lab) -> None:
    candidate = replace(lab.propose(), id="sha256:imported", imported=True, position=99)
    add_candidates(lab.db, [candidate])
    with pytest.raises(WrongUseError, match="is imported"):
        reject(lab.db, candidate.id, "Ada", "x")


@given(st.sampled_from(STATES), st.sampled_from(STATES), st.booleans())
def test_the_state_machine_refuses_what_it_does_not_allow(
    state: CandidateState, target: CandidateState, is_decided: bool
) -> None:
    candidate = Candidate(
        "sha256:1", 1, "t", 0, "train", "rewrite", "p", "c", {}, 1, state, "2026-01-01T00:00:00.000Z", []
    )
    decisions = [Decision("sha256:1", "reject", "Ada", "why", "2026-01-02T00:00:00.000Z")] if is_decided else []
    if target in ALLOWED_MOVES[state]:
        require_move(candidate, target, decisions)
        return
    repeated = state == target and state not in {"proposed", "refused"}
    decided = is_decided and state not in {"proposed", "refused"}
    said = f"(is {target} already|has been {target} since)" if repeated else f"cannot become {target}: it is {state}"
    said = f"cannot become {target}: it has been {state} since" if decided and not repeated else said
    with pytest.raises(WrongUseError, match=said) as caught:
        require_move(candidate, target, decisions)
    assert caught.value.next_step
    if is_decided and state not in {"proposed", "refused"}:
        assert "since 2026-01-02T00:00:00.000Z, by Ada (why)" in caught.value.message


def test_accepted_and_rejected_are_final() -> None:
    assert {state for state in STATES if not ALLOWED_MOVES[state]} == {"accepted", "rejected", "refused"}


def test_base_answers_are_kept_once(lab: Lab) -> None:
    ids = [question.id for question in lab.task.questions]
    answers = [Answer(ids[0], None, 0, "before", "base", "a", 0.0, False)]
    assert record_base_answers(lab.db, answers) == 1
    assert record_base_answers(lab.db, [replace(answers[0], text="b")]) == 0
    assert record_base_answers(lab.db, [replace(answers[0], model_state="v0001")]) == 1
    assert base_answers(lab.db, ids, "base") == {ids[0]: answers[0]}
    assert base_answers(lab.db, [], "base") == {}
    with pytest.raises(ValueError, match="belongs to candidate"):
        record_base_answers(lab.db, [replace(answers[0], candidate_id="x")])


def test_recover_interrupts_a_round_whose_engine_is_gone(lab: Lab) -> None:
    begin(lab.db)
    with hold_lock(lab.workspace.lock_file, "run"):
        assert recover(lab.workspace, lab.db) == []
    assert "Round 1 was running, but no engine is" in recover(lab.workspace, lab.db)[0]
    assert recover(lab.workspace, lab.db) == []
    resume_round(lab.db, 1)
    with hold_lock(lab.workspace.lock_file, "run"):
        assert len(recover(lab.workspace, lab.db, engine_lock_held=True)) == 1


def test_recover_clears_what_unfinished_writes_left(lab: Lab) -> None:
    dead = lab.workspace.cache_folder / f".a.4194399.abc.def{TEMPORARY_SUFFIX}"
    dead.mkdir()
    (lab.workspace.cache_folder / "accepting-v0001").mkdir()
    kept = lab.workspace.cache_folder / "sha256-ab"
    kept.mkdir()
    assert len(recover(lab.workspace, lab.db)) == 2
    assert list(lab.workspace.cache_folder.iterdir()) == [kept]
