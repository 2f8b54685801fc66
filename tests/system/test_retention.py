"""Retention on the bundled model: what stops a candidate, what is asked, what is found again, and the matrix."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from engine.bundled.vocabulary import VALUES
from engine.bundled.world import known_things
from engine.continual.build_plan import ReplayPlanner
from engine.continual.replay_plan import ReplayPlan
from engine.demo.documents import write_documents
from engine.jobs.operations import OPERATIONS
from engine.loop.accept import accept_candidate
from engine.loop.examine_version import examine_version, fill_matrix
from engine.loop.finish_round import run_result
from engine.loop.reexamine import reexamine
from engine.loop.round import run_round
from engine.loop.session import open_session
from engine.retention.matrix import recorded_matrix
from engine.runtime.progress import ignore_progress
from engine.settings.sections import ProtectionSettings, RetentionSettings
from engine.tasks.reading import read_tasks
from store.candidates import gates_of, list_candidates
from store.database import fetch_value
from store.errors import NothingToDoError, WrongUseError
from store.rounds import list_rounds
from store.tasks import add_documents, add_tasks, get_task
from store.verify import verify
from store.versions import rollback
from store.workspace import Workspace
from tests.system.workspaces import small_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.loop.session import Session
    from store.records import Candidate, GateResult, Task

KNOWN = known_things()[0]
CITY = KNOWN.kind.relations[0]
OTHER_CITY = next(city for city in VALUES[CITY.value_type] if city != KNOWN.value(CITY))
ASKED = CITY.questions[0].format(n=KNOWN.name)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with one finished round and retention examined as by default, to copy."""
    workspace = small_workspace(
        tmp_path_factory.mktemp("retention") / "w", pages=3, train=3, held_out=0, per_task=1, epochs=10
    )
    set_retention(workspace, gate="each")
    with open_session(workspace, "test") as session:
        run_round(session)
    return workspace.root


@pytest.fixture
def session(finished: Path, tmp_path: Path) -> Iterator[Session]:
    shutil.copytree(finished, tmp_path / "w")
    with open_session(Workspace(tmp_path / "w"), "test") as opened:
        yield opened
        assert verify(opened.workspace, opened.db).problems == []


def set_retention(workspace: Workspace, **values: Any) -> None:
    settings = yaml.safe_load(workspace.settings_file.read_text(encoding="utf-8"))
    settings["retention"] = values
    workspace.settings_file.write_text(yaml.safe_dump(settings), encoding="utf-8")


def write_suite(workspace: Workspace, **keys: Any) -> None:
    suite = {
        "suite": "known",
        "prompts": [{"question": ASKED, "answers": KNOWN.value(CITY), "group": "cities"}],
        **keys,
    }
    (workspace.retention_folder / "known.yaml").write_text(yaml.safe_dump(suite), encoding="utf-8")


def distilled(session: Session, place: int) -> tuple[Candidate, Task]:
    """The candidate of a task that the round wrote, and the task."""
    candidate = list_candidates(session.db, role="train", derived=False)[place]
    return candidate, get_task(session.db, candidate.task_id)


def edited(session: Session, place: int, *more: tuple[str, str]) -> Candidate:
    """Teach a task's own answers by questions and answers, and other answers beside them."""
    original, task = distilled(session, place)
    pairs = [*((one.text, one.answers[0]) for one in task.questions), *more]
    completion = "\n".join(f"Question: {asked}\nAnswer: {answer}" for asked, answer in pairs)
    return reexamine(session, {"candidate": original.id, "completion": completion}, "Ada")


def accepted(session: Session, candidate: Candidate) -> int:
    return accept_candidate(session.workspace, session.db, candidate.id, actor="Ada", reason="good").number


def gates(session: Session, candidate: Candidate) -> dict[str, GateResult]:
    return {gate.gate: gate for gate in gates_of(session.db, candidate.id)}


def count(session: Session, table: str) -> int:
    return int(fetch_value(session.db, f"SELECT count(*) FROM {table}"))  # noqa: S608


def other_answer(session: Session, place: int) -> tuple[str, str]:
    """A question of a task, and an answer to it that another question of the task has."""
    _, task = distilled(session, place)
    return task.questions[0].text, task.questions[1].answers[0]


def test_without_suites_earlier_edits_and_anchors_nothing_is_asked_and_no_gate_is_written(session: Session) -> None:
    candidate, _ = distilled(session, 0)
    assert gates(session, candidate) == {}
    assert (count(session, "retention_answers"), count(session, "drift")) == (0, 0)
    with pytest.raises(NothingToDoError, match="nothing to examine"):
        examine_version(session, None)


def test_a_suite_stops_an_edit_that_changes_a_known_answer_and_names_it(session: Session) -> None:
    write_suite(session.workspace)
    harmless, harmful = edited(session, 0), edited(session, 1, (ASKED, OTHER_CITY))
    assert gates(session, harmless)["retention:known"].passed
    verdict = gates(session, harmful)["retention:known"]
    assert (harmless.state, harmful.state, verdict.passed) == ("examined", "refused", False)
    [lost] = verdict.evidence["lost"]
    assert (lost["prompt"], lost["expected"], lost["before"], lost["group"]) == (
        ASKED, [KNOWN.value(CITY)], KNOWN.value(CITY), "cities",
    )  # fmt: skip
    assert lost["after"] == OTHER_CITY
    with pytest.raises(WrongUseError, match="by a gate"):
        accepted(session, harmful)
    write_suite(session.workspace, allowed_losses=1)
    allowed = edited(session, 2, (ASKED, OTHER_CITY))
    assert gates(session, allowed)["retention:known"].evidence["allowed_losses"] == 1
    assert allowed.state == "examined"


def test_the_untouched_model_is_asked_once(session: Session) -> None:
    write_suite(session.workspace, anchors=["The colour of it is blue."])
    for place in (0, 1):
        edited(session, place)
    assert (count(session, "retention_answers"), count(session, "drift")) == (3, 3)


def test_what_was_asked_before_an_interruption_is_not_asked_again(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    write_suite(session.workspace, anchors=["The colour of it is blue."])
    with monkeypatch.context() as patched:
        patched.setattr("engine.loop.candidate_evaluator.record_examined", stop)
        with pytest.raises(KeyboardInterrupt):
            edited(session, 0)
    events = count(session, "events")
    [cut_off] = list_candidates(session.db, derived=True)
    assert (cut_off.state, gates(session, cut_off)) == ("proposed", {})
    again = edited(session, 0)
    assert again.id == cut_off.id
    assert set(gates(session, again)) == {"retention:known", "drift"}
    assert count(session, "events") == events + 1
    assert (count(session, "retention_answers"), count(session, "drift")) == (2, 2)


def test_an_edit_that_undoes_an_earlier_one_is_stopped_and_both_are_named(session: Session) -> None:
    first = edited(session, 0)
    assert first.reward_mean is not None
    assert first.reward_mean > 0.5
    accepted(session, first)
    with pytest.MonkeyPatch.context() as patch:  # replay keeps the earlier edit as it was
        patch.setattr(ReplayPlanner, "plan", lambda *_: ReplayPlan())
        undoing = edited(session, 1, other_answer(session, 0))
    verdict = gates(session, undoing)["earlier edits"]
    assert (undoing.state, verdict.passed) == ("refused", False)
    assert verdict.evidence["candidate_task"] == distilled(session, 1)[1].title
    [undone] = verdict.evidence["undone"]
    assert (undone["version"], undone["task"]) == ("v0001", distilled(session, 0)[1].title)
    assert other_answer(session, 0)[0] in {one["prompt"] for one in verdict.evidence["lost"]}


def test_an_edit_about_the_same_task_may_change_its_answers(session: Session) -> None:
    accepted(session, edited(session, 0))
    assert "earlier edits" not in gates(session, edited(session, 0, other_answer(session, 0)))


def test_after_a_rollback_an_update_may_undo_the_edit_that_was_rolled_back(session: Session) -> None:
    accepted(session, edited(session, 0))
    rollback(session.workspace, session.db, 0, "Ada", "was wrong")
    assert "earlier edits" not in gates(session, edited(session, 1, other_answer(session, 0)))


def test_a_round_is_held_to_suites_and_only_what_passed_its_own_exam_is_asked(session: Session) -> None:
    _, task = distilled(session, 0)
    write_suite(session.workspace, anchors=["The colour of it is blue."])
    strict = session.settings.model_copy(
        update={
            "gates": session.settings.gates.model_copy(update={"min_reward": 0.0}),
            "retention": session.settings.retention.model_copy(update={"max_drift": 0.0}),
        }
    )
    done = run_round(session.under(strict))
    candidates = list_candidates(session.db, round_number=done.number, role="train", derived=False)
    asked = [one for one in candidates if (one.reward_mean or 0) > 0]
    assert 0 < len(asked) < len(candidates)
    for one in candidates:
        expected = {"reward", "retention:known", "drift"} if one in asked else {"reward"}
        assert set(gates(session, one)) == expected
    drift = gates(session, asked[0])["drift"]
    assert not drift.passed
    assert drift.evidence["mean_kl"] > drift.evidence["mean_kl_before"] == 0
    assert run_result([done])["all_refused"]
    assert task.id in {one.task_id for one in candidates}


def test_candidates_for_held_out_tasks_are_held_to_retention_too(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path / "w", pages=6, train=1, held_out=2, per_task=1, epochs=1)
    set_retention(workspace, gate="each")
    write_suite(workspace)
    with open_session(workspace, "test") as session:
        run_round(session)
        asked = {one.role: set(gates(session, one)) for one in list_candidates(session.db)}
    assert asked == {"train": {"retention:known"}, "held_out": {"retention:known"}}


def test_a_gate_that_is_switched_off_asks_nothing_and_reads_no_suite(session: Session) -> None:
    (session.workspace.retention_folder / "broken.yaml").write_text("prompts: [", encoding="utf-8")
    off = session.settings.model_copy(
        update={
            "retention": session.settings.retention.model_copy(update={"gate": None}),
            "protection": ProtectionSettings(anchor_ratio=0.0, perturbed_ratio=0.0, curvature=False),
        }
    )
    run_round(session.under(off))
    assert count(session, "retention_answers") == 0


def test_a_suite_that_cannot_be_read_stops_a_round_before_it_begins(session: Session) -> None:
    (session.workspace.retention_folder / "broken.yaml").write_text("prompts: [", encoding="utf-8")
    before = (len(list_rounds(session.db)), count(session, "candidates"))
    with pytest.raises(WrongUseError) as caught:
        run_round(session)
    assert caught.value.problems[0].startswith("retention/broken.yaml:")
    assert (len(list_rounds(session.db)), count(session, "candidates")) == before
    with pytest.raises(WrongUseError):
        edited(session, 0)


def test_a_version_is_examined_against_its_parent_and_the_base(session: Session) -> None:
    accepted(session, edited(session, 0))
    write_suite(session.workspace)
    found = examine_version(session, 1)
    assert (found["version"], found["parent"], found["stopped"]) == ("v0001", "base", False)
    write_suite(session.workspace, allowed_losses=1)
    accepted(session, edited(session, 1, (ASKED, OTHER_CITY)))
    write_suite(session.workspace)
    answers = count(session, "retention_answers")
    found = examine_version(session, 2)
    assert (found["version"], found["parent"], found["stopped"]) == ("v0002", "v0001", True)
    assert [gate["gate"] for gate in found["against_parent"]] == ["retention:known", "earlier edits"]
    assert [gate["gate"] for gate in found["against_base"]] == ["retention:known"]
    assert count(session, "retention_answers") == answers
    alone = examine_version(session, None)
    assert (alone["version"], alone["parent"], alone["stopped"]) == ("base", "base", False)
    assert [gate["evidence"]["noise_floor"] for gate in (alone["against_base"][0], found["against_base"][0])] == [0, 0]
    assert count(session, "suite_noise") == 1
    assert json.loads(json.dumps(found)) == found


def test_the_matrix_follows_what_is_asked_anyway(session: Session) -> None:
    for place in (0, 1):
        accepted(session, edited(session, place))
    recorded = recorded_matrix(session.db, 2)
    assert recorded.rows == ("v0000", "v0001", "v0002")
    assert [column.version for column in recorded.columns] == ["v0001", "v0002"]
    assert all(share is not None for of_row in recorded.cells for share in of_row)
    assert recorded.cells[0][0] < recorded.cells[1][0]  # type: ignore[operator]
    assert fill_matrix(session, 2) == 0


def test_what_the_matrix_lacks_is_asked_on_demand_and_once(session: Session, tmp_path: Path) -> None:
    accepted(session, edited(session, 0))
    documents = write_documents(tmp_path / "later", pages=1, notes=0, untouched=0, seed=2)
    later = read_tasks([documents.pages], audit_share=0.25)
    add_documents(session.db, later.documents)
    add_tasks(session.db, later.tasks)
    unguarded = session.under(session.settings.model_copy(update={"retention": RetentionSettings(gate=None)}))
    done = run_round(unguarded, later.tasks)
    accepted(session, list_candidates(session.db, round_number=done.number)[0])
    lacking = recorded_matrix(session.db, 2)
    assert (lacking.cells[0][1], lacking.cells[2][0]) == (None, None)
    own, new = (len(task.questions) for task in (distilled(session, 0)[1], later.tasks[0]))
    assert fill_matrix(session, 2) == own + new
    filled = recorded_matrix(session.db, 2)
    assert all(share is not None for of_row in filled.cells for share in of_row)
    assert [row[:1] for row in filled.cells[:2]] == [row[:1] for row in lacking.cells[:2]]
    assert fill_matrix(session, 2) == 0


def test_the_engines_operations_take_the_live_version_or_another(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "w")
    workspace = Workspace(tmp_path / "w")
    write_suite(workspace)
    with open_session(workspace, "test") as opened:
        accepted(opened, edited(opened, 0))
    parameters = {"workspace": str(workspace.root)}
    for version, name in ((None, "v0001"), (0, "base"), (1, "v0001")):
        found = OPERATIONS["retention.run"]({**parameters, "version": version}, ignore_progress)
        assert found["version"] == name
    assert OPERATIONS["retention.matrix"](parameters, ignore_progress) == {"asked": 0}
