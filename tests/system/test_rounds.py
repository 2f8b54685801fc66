"""Rounds on the bundled model: what is recorded, that it repeats itself, that versions build on one another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.loop.accept import accept_candidate
from engine.loop.compare import compare_baselines
from engine.loop.round import run_round
from engine.loop.session import open_session
from store.answers import base_answers
from store.candidates import answers_of, inner_updates_of, list_candidates
from store.database import open_database
from store.errors import LockedError, NothingToDoError, WrongUseError
from store.lock import hold_lock
from store.rounds import list_rounds
from store.tasks import list_tasks, questions_of
from store.verify import verify
from store.version_rows import live_version
from store.workspace import Workspace, create_workspace
from tests.system.workspaces import small_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from store.records import Candidate


def _run(workspace: Workspace) -> list[Candidate]:
    with open_session(workspace, "test") as session:
        finished = run_round(session)
        assert finished.state == "done"
        assert verify(workspace, session.db).problems == []
        return list_candidates(session.db, round_number=finished.number)


def test_a_round_records_all_that_it_measured(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path / "w", repeats=2)
    candidates = _run(workspace)
    train = [candidate for candidate in candidates if candidate.role == "train"]
    assert len(train) == 4 * 2
    db = open_database(workspace.database_file)
    (finished,) = list_rounds(db)
    assert finished.summary is not None
    training = finished.summary["policy_training"]
    assert len(training["losses"]) == training["steps"] > 1
    assert training["losses"][-1] < training["losses"][0]
    assert not list(workspace.cache_folder.glob("policy-of-round-*"))
    for candidate in candidates:
        assert candidate.state == "examined"
        assert candidate.sequences[-1].startswith(candidate.sequences[-1].split("\n")[0] + "\n")
        questions = questions_of(db, candidate.task_id)
        answers = answers_of(db, candidate.id)
        assert {(a.question_id, a.repeat) for a in answers} == {(q.id, r) for q in questions for r in (0, 1)}
        assert len(base_answers(db, [question.id for question in questions], "base")) == len(questions)
        updates = inner_updates_of(db, candidate.id)
        assert [len(update.losses) for update in updates] == [3 * len(candidate.sequences)] * 2
        assert updates[0].seed != updates[1].seed
        assert updates[0].adapter_hash == candidate.adapter_hash
    db.close()


def test_the_same_workspace_and_seed_give_the_same_round(tmp_path: Path) -> None:
    first, second = (_run(small_workspace(tmp_path / name)) for name in ("a", "b"))
    measured = [
        [(c.id, c.completion, c.reward_mean, c.audit_gain, c.adapter_hash) for c in candidates]
        for candidates in (first, second)
    ]
    assert measured[0] == measured[1]
    assert len({c.adapter_hash for c in first}) > 1


def test_the_next_round_builds_on_what_is_live(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path / "w", held_out=0, pages=3, train=3)
    first = _run(workspace)
    db = open_database(workspace.database_file)
    accepted = accept_candidate(workspace, db, first[0].id, actor="tester", reason="the first")
    assert live_version(db) == accepted.number == 1
    second = _run(workspace)
    assert {candidate.live_version for candidate in second} == {1}
    questions = [q.id for listed in list_tasks(db) for q in questions_of(db, listed.task.id)]
    assert len(base_answers(db, questions, "v0001")) == len(questions)
    with pytest.raises(WrongUseError, match="v0001"):
        accept_candidate(workspace, db, first[1].id, actor="tester", reason="trained on what is no longer live")
    assert accept_candidate(workspace, db, second[0].id, actor="tester", reason="on top").parent_number == 1
    db.close()


def test_ways_of_teaching_are_compared(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path / "w", epochs=10)
    with open_session(workspace, "test") as session:
        found = compare_baselines(session, "all", ["base", "context", "policy"], edits=1)
        events = session.db.execute("SELECT count(*) FROM events").fetchone()
        again = compare_baselines(session, "held-out", ["base"], edits=1)
        assert session.db.execute("SELECT count(*) FROM events").fetchone() == events
    assert found["tasks"] == 6
    assert found["accuracy"]["base"] < found["accuracy"]["policy"]
    assert again["tasks"] == 2


def test_a_workspace_without_tasks_has_nothing_to_do(tmp_path: Path) -> None:
    workspace = create_workspace(tmp_path / "w", "model: {path: bundled}\n")
    with open_session(workspace, "test") as session, pytest.raises(NothingToDoError, match="no tasks"):
        run_round(session)


def test_a_second_engine_learns_who_locked_the_workspace(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path / "w")
    with hold_lock(workspace.lock_file, "run"), pytest.raises(LockedError, match="run"):  # noqa: SIM117
        with open_session(workspace, "test"):
            pass
