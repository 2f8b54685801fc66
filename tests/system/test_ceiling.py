"""The ceiling: the exam with the context in view, said before a round, recorded once, and shown for a task."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.exams.ceiling import TaskCeiling, describe_ceilings
from engine.loop.round import run_round
from engine.loop.session import open_session
from seal_console.cli.main import main
from seal_console.queries.tasks import recorded_ceilings
from store.answers import WITH_CONTEXT_STATE, base_answers
from store.database import open_database
from store.records import Question, Task
from store.tasks import get_task, list_tasks
from store.verify_rows import check_recorded_rows
from tests.system.workspaces import small_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from engine.runtime.progress import Progress


def task(title: str, questions: int = 2) -> Task:
    made = Task(id=f"sha256:{title * 8}", title=title, context="c", source="s", added_at="")
    asked = [Question(f"{title}{n}", made.id, n, "q?", ["a"], "exact", {}, "reward") for n in range(questions)]
    return replace(made, questions=asked)


def test_a_round_says_what_its_exams_can_measure(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path / "w", pages=3, train=2, held_out=1, per_task=1, epochs=1)
    said: list[str] = []

    def report(progress: Progress) -> None:
        said.append(progress.note)

    with open_session(workspace, "test", report) as session:
        run_round(session)
        run_round(session)
        again = session.db.execute(
            "SELECT count(*) FROM answers WHERE model_state = ?", (WITH_CONTEXT_STATE,)
        ).fetchone()[0]
        questions = session.db.execute("SELECT count(*) FROM questions").fetchone()[0]
        assert again == questions  # once for each question, in both rounds together
    [sentence] = {one for one in said if one.startswith("Ceiling: ")}
    assert "95 % interval" in sentence
    assert check_recorded_rows(open_database(workspace.database_file))[1] == []


def test_checking_tasks_says_from_recorded_answers_what_the_exams_can_measure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = small_workspace(tmp_path / "w", pages=3, train=2, held_out=1, per_task=1, epochs=1)
    check = ["-w", str(workspace.root), "tasks", "check"]
    assert main(check) == 0
    assert "What the exams can measure is not known yet" in capsys.readouterr().out
    with open_session(workspace, "test") as session:
        run_round(session)
    assert main(check) == 0
    assert "Ceiling: with the context in view, the base answers " in capsys.readouterr().out
    with closing(open_database(workspace.database_file)) as db:
        tasks = [get_task(db, listed.task.id) for listed in list_tasks(db)]
        assert [one.task.id for one in recorded_ceilings(db, tasks)] == [one.id for one in tasks]
        with db.conn:
            db.execute(f"UPDATE answers SET correct = 0 WHERE model_state = '{WITH_CONTEXT_STATE}'")  # noqa: S608
    assert main([*check, "--json"]) == 0
    ceiling = json.loads(capsys.readouterr().out.splitlines()[-1])["ceiling"]
    assert ceiling["tasks"] == len(tasks)
    assert set(ceiling["beyond_reach"]) | set(ceiling["known_already"]) == {one.id for one in tasks}


def test_without_the_setting_nothing_is_asked_with_the_context(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path / "w", pages=3, train=2, held_out=1, per_task=1, epochs=1)
    text = workspace.settings_file.read_text(encoding="utf-8")
    workspace.settings_file.write_text(f"{text}exam:\n  ceiling: false\n", encoding="utf-8")
    said: list[str] = []
    with open_session(workspace, "test", lambda progress: said.append(progress.note)) as session:
        run_round(session)
        states = [row[0] for row in session.db.execute("SELECT DISTINCT model_state FROM answers").fetchall()]
    assert WITH_CONTEXT_STATE not in states
    assert not any("Ceiling" in one for one in said)


def test_a_ceiling_is_kept_for_each_form_of_the_exam(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path / "w", pages=2, train=1, held_out=1)
    with open_session(workspace, "test") as session:
        row = session.db.execute("SELECT id FROM tasks").fetchone()
        one = get_task(session.db, row[0])
        session.examiner.answers_with_context([one])
        other = session.under(
            session.settings.model_copy(
                update={"model": session.settings.model.model_copy(update={"prompt_style": "few-shot"})}
            )
        )
        ids = [question.id for question in one.questions]
        fingerprint = session.base.fingerprint
        assert base_answers(session.db, ids, WITH_CONTEXT_STATE, fingerprint, "few-shot") == {}
        other.examiner.answers_with_context([one])
        assert set(base_answers(session.db, ids, WITH_CONTEXT_STATE, fingerprint, "few-shot")) == set(ids)
        assert check_recorded_rows(session.db)[1] == []


@pytest.mark.parametrize(
    ("ceilings", "said"),
    [
        ([TaskCeiling(task("A"), 2, 1, 0)], None),
        ([TaskCeiling(task("A"), 2, 2, 2)], "Nothing can be gained on 1 task (“A”)"),
        ([TaskCeiling(task("A"), 2, 0, 0), TaskCeiling(task("B"), 2, 1, 0)], "Not one reward question of 1 task (“A”)"),
        ([TaskCeiling(task(name), 2, 0, 0) for name in "ABCDE"], "5 tasks (“A”, “B”, “C” and 2 more)"),
    ],
)
def test_what_cannot_be_gained_is_said(ceilings: list[TaskCeiling], said: str | None) -> None:
    sentences = list(describe_ceilings(ceilings))
    assert sentences[0].startswith("Ceiling: with the context in view, the base answers ")
    assert any(said in one for one in sentences[1:]) if said else sentences[1:] == []


def test_without_questions_nothing_is_said() -> None:
    assert list(describe_ceilings([])) == []
