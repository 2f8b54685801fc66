"""What retention measured is kept once, stays, and is vouched for by the event log."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.answers import ModelState, model_state, record_base_answers, recorded_answers
from store.database import fetch_value
from store.events import chain_head, events_after
from store.records import Answer, Drift, RetentionAnswer, SuiteNoise
from store.retention import (
    measured_drift,
    measured_noise,
    newest_noise,
    record_drift,
    record_noise,
    record_retention_answers,
    retention_answers,
)
from store.verify_rows import check_recorded_rows

if TYPE_CHECKING:
    from sqlite_utils import Database

    from tests.test_store.conftest import Lab

NOW = "2026-01-01T00:00:00.000Z"
DRIFT = Drift("anchors", "sha256:a", 0.25, 1.5, 40, NOW)
NOISE = SuiteNoise("prompts", "conditions", "sha256:b", "facts", 40, 31, 1, 3, NOW)


def answer(prompt: str, state: str = "base", text: str = "blue", *, correct: bool = True) -> RetentionAnswer:
    return RetentionAnswer(prompt, state, text, float(correct), correct, NOW)


def test_answers_are_found_again_by_prompt_and_state(db: Database) -> None:
    kept = [answer("p1"), answer("p2", correct=False), answer("p1", "sha256:a", "red")]
    assert record_retention_answers(db, kept) == 3
    assert retention_answers(db, ["p1", "p2", "p3"], "base") == {"p1": kept[0], "p2": kept[1]}
    assert retention_answers(db, ["p1"], "sha256:a") == {"p1": kept[2]}
    assert retention_answers(db, ["p1"], "v0001") == {}


def test_many_prompts_are_looked_up_at_once(db: Database) -> None:
    record_retention_answers(db, [answer(f"p{number}") for number in range(1201)])
    assert len(retention_answers(db, [f"p{number}" for number in range(1300)], "base")) == 1201


def test_the_first_answer_stays_and_a_repetition_makes_no_event(db: Database) -> None:
    record_retention_answers(db, [answer("p1")])
    head = chain_head(db)
    assert record_retention_answers(db, [answer("p1", text="red")]) == 0
    assert chain_head(db) == head
    assert retention_answers(db, ["p1"], "base")["p1"].text == "blue"
    assert record_drift(db, [DRIFT]) == 1
    head = chain_head(db)
    assert record_drift(db, [replace(DRIFT, mean_kl=9.0)]) == 0
    assert chain_head(db) == head
    assert measured_drift(db, "anchors", "sha256:a") == DRIFT
    assert measured_drift(db, "anchors", "base") is None


def test_a_noise_floor_is_kept_once_for_its_prompts_and_conditions(db: Database) -> None:
    assert record_noise(db, [NOISE]) == 1
    head = chain_head(db)
    assert record_noise(db, [replace(NOISE, lost=9)]) == 0
    assert chain_head(db) == head
    assert measured_noise(db, "prompts", "conditions") == NOISE
    assert measured_noise(db, "prompts", "others") is None
    newer = replace(NOISE, conditions_hash="others", lost=0, measured_at="2026-02-01T00:00:00.000Z")
    record_noise(db, [newer])
    assert newest_noise(db) == {"prompts": newer}
    assert [event.payload["suite"] for event in events_after(db, 0) if event.kind == "noise.measured"] == ["facts"] * 2


def test_an_event_names_the_state_and_the_hash_of_each_row(db: Database) -> None:
    record_retention_answers(db, [answer("p1"), answer("p2"), answer("p1", "sha256:a")])
    record_drift(db, [DRIFT])
    events = [event for event in events_after(db, 0) if event.kind in {"retention.examined", "drift.measured"}]
    assert [(event.payload["model_state"], sorted(event.payload.get("hashes", {}))) for event in events] == [
        ("base", ["p1", "p2"]),
        ("sha256:a", ["p1"]),
        ("sha256:a", []),
    ]


@pytest.mark.parametrize(
    ("table", "column"), [("retention_answers", "model_state"), ("drift", "model_state"), ("suite_noise", "suite")]
)
def test_rows_are_append_only(db: Database, table: str, column: str) -> None:
    record_retention_answers(db, [answer("p1")])
    record_drift(db, [DRIFT])
    record_noise(db, [NOISE])
    for sql in (f"UPDATE {table} SET {column} = 'x'", f"DELETE FROM {table}"):  # noqa: S608
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            db.conn.execute(sql)


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("UPDATE retention_answers SET correct = 1", "retention answer"),
        ("UPDATE retention_answers SET text = 'other' WHERE prompt_hash = 'p1'", "('base', 'p1')"),
        ("DELETE FROM retention_answers", "its row is missing"),
        ("INSERT INTO retention_answers VALUES ('p9', 'base', 'x', 1, 1, 'now', 0)", "('base', 'p9')"),
        ("UPDATE drift SET mean_kl = 0", "drift ('sha256:a', 'anchors')"),
        ("DELETE FROM drift", "drift ('sha256:a', 'anchors'): its row is missing"),
        ("UPDATE suite_noise SET lost = 0", "noise floor ('prompts', 'conditions')"),
        ("DELETE FROM suite_noise", "noise floor ('prompts', 'conditions'): its row is missing"),
    ],
)
def test_verify_finds_rows_that_are_not_as_recorded(db: Database, sql: str, named: str) -> None:
    record_retention_answers(db, [answer("p1"), answer("p2", correct=False)])
    record_drift(db, [DRIFT])
    record_noise(db, [NOISE])
    assert check_recorded_rows(db)[1] == []
    for table in ("retention_answers", "drift", "suite_noise"):
        for [name] in db.conn.execute(
            "SELECT name FROM sqlite_schema WHERE tbl_name = ? AND type = 'trigger'", [table]
        ):
            db.conn.execute(f"DROP TRIGGER {name}")
    db.conn.execute(sql)
    problems = check_recorded_rows(db)[1]
    assert problems
    assert any(named in problem for problem in problems)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(
    st.lists(
        st.builds(
            RetentionAnswer,
            st.sampled_from(["p1", "p2"]),
            st.sampled_from(["base", "sha256:a"]),
            st.text(max_size=20),
            st.floats(0, 1),
            st.booleans(),
            st.just(NOW),
        ),
        max_size=6,
    )
)
def test_whatever_is_recorded_verifies_and_the_first_of_a_kind_is_kept(
    db: Database, answers: list[RetentionAnswer]
) -> None:
    before = {state: retention_answers(db, ["p1", "p2"], state) for state in ("base", "sha256:a")}
    record_retention_answers(db, answers)
    assert check_recorded_rows(db)[1] == []
    for one in reversed(answers):
        kept = before[one.model_state].get(one.prompt_hash)
        first = kept or next(a for a in answers if (a.prompt_hash, a.model_state) == (one.prompt_hash, one.model_state))
        assert retention_answers(db, [one.prompt_hash], one.model_state)[one.prompt_hash] == first


def test_nothing_is_kept_of_answers_that_cannot_all_be_kept(db: Database) -> None:
    with pytest.raises(ValueError, match="finite"):
        record_retention_answers(db, [answer("p1"), replace(answer("p2"), score=float("nan"))])
    assert fetch_value(db, "SELECT count(*) FROM retention_answers") == 0


def test_a_versions_answers_are_found_under_its_tag_its_exam_and_its_adapter(lab: Lab) -> None:
    version = lab.accept()
    state = model_state(lab.db, version.number)
    assert (state.name, state.weights) == ("v0001", version.adapter_hash)
    assert (model_state(lab.db, None).weights, ModelState("sha256:a").weights) == ("base", "sha256:a")
    first, second, *rest = lab.task.questions
    by_adapter, by_tag = (
        Answer(question.id, None, 0, "after", name, "kept", 0.0, correct=False)
        for question, name in ((first, version.adapter_hash), (second, "v0001"))
    )
    record_base_answers(lab.db, [by_adapter, by_tag])
    found = recorded_answers(lab.db, [question.id for question in lab.task.questions], state)
    assert found[first.id] == by_adapter
    assert found[second.id] == by_tag
    assert {found[question.id].text for question in rest} == {"30 days"}
