from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.candidate_states import decided_state
from store.candidates import decisions_of, defer, get_candidate, reject
from store.database import open_database
from store.errors import NothingToDoError, SealError, WrongUseError
from store.undoing import last_undoable, undo_last
from store.verify import verify
from store.verify_rows import check_recorded_rows
from store.versions import rollback

if TYPE_CHECKING:
    from collections.abc import Callable

    from store.records import Candidate, CandidateState, Decision
    from tests.test_store.conftest import Lab


def state(lab: Lab, candidate: Candidate) -> CandidateState:
    return get_candidate(lab.db, candidate.id).state


def test_a_rejection_is_undone_and_stays_in_the_record(lab: Lab) -> None:
    candidate = lab.examined()
    reject(lab.db, candidate.id, "Ada", "wrong key")
    undone = undo_last(lab.db, "Ada", "typo")
    assert (undone.candidate.id, undone.candidate.state) == (candidate.id, "examined")
    assert state(lab, candidate) == "examined"
    rejected, undo = decisions_of(lab.db, candidate.id)
    assert (undone.undone, undone.decision) == (rejected, undo)
    assert (undo.action, undo.actor) == ("undo", "Ada")
    assert undo.reason == f"undoes reject of {rejected.decided_at}: typo"
    assert verify(lab.workspace, lab.db).problems == []
    assert lab.accept(candidate).number == 1
    assert verify(lab.workspace, lab.db).problems == []


def test_undo_goes_back_step_by_step_and_ends(lab: Lab) -> None:
    first, second = lab.examined(), lab.examined()
    defer(lab.db, first.id, "Ada", "later")
    reject(lab.db, second.id, "Ada", "no")
    reject(lab.db, first.id, "Ada", "never")
    assert (undo_last(lab.db, "Ada").candidate.id, state(lab, first)) == (first.id, "deferred")
    assert (last_undoable(lab.db, "Ada").candidate.id, state(lab, second)) == (second.id, "rejected")
    assert undo_last(lab.db, "Ada").candidate.id == second.id
    assert (undo_last(lab.db, "Ada").candidate.id, state(lab, first)) == (first.id, "examined")
    with pytest.raises(NothingToDoError, match="Ada has no decision to undo"):
        undo_last(lab.db, "Ada")
    assert verify(lab.workspace, lab.db).problems == []


def test_nobody_takes_back_what_another_decided(lab: Lab) -> None:
    candidate = lab.examined()
    defer(lab.db, candidate.id, "Ada", "later")
    reject(lab.db, candidate.id, "Bob", "dull")
    with pytest.raises(WrongUseError, match=r"Bob has decided since \(reject at 20.*: dull\)"):
        undo_last(lab.db, "Ada")
    with pytest.raises(NothingToDoError, match="Eve"):
        undo_last(lab.db, "Eve")
    assert state(lab, candidate) == "rejected"
    undo_last(lab.db, "Bob")
    assert undo_last(lab.db, "Ada").candidate.state == "examined"


def test_an_acceptance_is_a_commit(lab: Lab) -> None:
    lab.accept()
    with pytest.raises(WrongUseError, match=r"accepted v0001.*commit") as caught:
        undo_last(lab.db, "Ada")
    assert "seal-console versions rollback v0000" in caught.value.next_step
    lab.accept()
    with pytest.raises(WrongUseError, match="accepted v0002") as caught:
        last_undoable(lab.db, "Ada")
    assert "rollback v0001" in caught.value.next_step
    rollback(lab.workspace, lab.db, 1, "Ada", "worse")
    assert verify(lab.workspace, lab.db).problems == []


def test_a_decision_after_an_undo_names_the_one_in_effect(lab: Lab) -> None:
    candidate = lab.examined()
    defer(lab.db, candidate.id, "Ada", "later")
    reject(lab.db, candidate.id, "Bob", "dull")
    undo_last(lab.db, "Bob")
    with pytest.raises(WrongUseError, match=r"has been deferred since .*, by Ada \(later\)"):
        defer(lab.db, candidate.id, "Eve", "me too")


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM decisions WHERE action = 'undo'",
        "UPDATE decisions SET actor = 'Eve' WHERE action = 'undo'",
        "UPDATE candidates SET state = 'rejected' WHERE state = 'examined'",
    ],
)
def test_tampering_with_an_undo_is_found(lab: Lab, sql: str) -> None:
    reject(lab.db, lab.examined().id, "Ada", "no")
    undo_last(lab.db, "Ada")
    for trigger in ("decisions_stay", "decisions_remain"):
        lab.db.conn.execute(f"DROP TRIGGER {trigger}")
    lab.db.conn.execute(sql)
    assert not verify(lab.workspace, lab.db).ok


steps = st.lists(st.tuples(st.sampled_from(["reject", "defer", "undo"]), st.sampled_from(["Ada", "Bob"])), max_size=8)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_whatever_is_decided_and_undone_the_record_agrees(lab: Lab, done: list[tuple[str, str]]) -> None:
    candidate = lab.examined()
    said: list[Decision] = []
    for action, actor in done:
        try:
            if action == "undo":
                said.append(undo_last(lab.db, actor).decision)
            else:
                (reject if action == "reject" else defer)(lab.db, candidate.id, actor, "x")
        except SealError:
            continue
    found = decisions_of(lab.db, candidate.id)
    assert [undo for undo in said if undo.candidate_id == candidate.id] == [d for d in found if d.action == "undo"]
    assert state(lab, candidate) == decided_state(found, "examined")
    assert check_recorded_rows(lab.db)[1] == []


def both_at_once(lab: Lab, decide: Callable[[Any, str], object]) -> dict[str, str | None]:
    """Let Ada and Bob decide at the same moment, each on a connection of their own; the refusals by name."""
    starting = threading.Barrier(2)
    refusals: dict[str, str | None] = {}

    def run(actor: str) -> None:
        db = open_database(lab.workspace.database_file)
        try:
            starting.wait(timeout=30)
            decide(db, actor)
            refusals[actor] = None
        except WrongUseError as error:
            refusals[actor] = error.message
        finally:
            db.close()

    threads = [threading.Thread(target=run, args=(actor,)) for actor in ("Ada", "Bob")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return refusals


@pytest.mark.parametrize("decide", [reject, defer])
def test_of_two_people_who_decide_at_once_the_second_learns_who_was_first(
    lab: Lab, decide: Callable[[Any, str, str, str], object]
) -> None:
    candidate = lab.examined()
    refusals = both_at_once(lab, lambda db, actor: decide(db, candidate.id, actor, f"as {actor} sees it"))
    [decision] = decisions_of(lab.db, candidate.id)
    [late] = {"Ada", "Bob"} - {decision.actor}
    assert refusals[decision.actor] is None
    refused = refusals[late] or ""
    done = get_candidate(lab.db, candidate.id).state
    assert f"has been {done} since {decision.decided_at}, by {decision.actor} ({decision.reason})" in refused


def test_one_accepts_what_the_other_rejected(lab: Lab) -> None:
    rejected, accepted = lab.examined(), lab.examined()
    reject(lab.db, rejected.id, "Ada", "no")
    lab.accept(accepted, actor="Ada", reason="yes")
    for candidate, what in ((rejected, "rejected"), (accepted, "accepted")):
        with pytest.raises(WrongUseError, match=rf"has been {what} since 20.*Z, by Ada \((no|yes)\)"):
            lab.accept(candidate, actor="Bob")
        for decide in (reject, defer):
            with pytest.raises(WrongUseError, match=rf"has been {what} since 20.*Z, by Ada \((no|yes)\)"):
                decide(lab.db, candidate.id, "Bob", "x")
