"""Answers without a candidate belong to the base that gave them; those older than the field to no known one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from store.answers import base_answers, model_state, record_base_answers, recorded_answers
from store.events import events_after
from store.records import Answer
from store.rounds import start_round
from store.verify_rows import check_recorded_rows

if TYPE_CHECKING:
    from tests.test_store.conftest import Lab

ONE, OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64


def answers(lab: Lab, base: str | None, text: str, state: str = "base") -> list[Answer]:
    return [
        Answer(question.id, None, 0, "before", state, text, 0.0, correct=False, base_fingerprint=base)
        for question in lab.task.questions
    ]


def texts(lab: Lab, base: str | None = None, *, or_unknown: bool = False) -> set[str]:
    asked = [question.id for question in lab.task.questions]
    return {answer.text for answer in base_answers(lab.db, asked, "base", base, or_unknown=or_unknown).values()}


def test_each_base_has_answers_of_its_own_and_the_first_of_each_stays(lab: Lab) -> None:
    count = len(lab.task.questions)
    assert record_base_answers(lab.db, answers(lab, ONE, "one")) == count
    assert texts(lab, OTHER) == set()
    assert record_base_answers(lab.db, answers(lab, OTHER, "other")) == count
    assert record_base_answers(lab.db, answers(lab, ONE, "again")) == 0
    assert (texts(lab, ONE), texts(lab, OTHER), texts(lab)) == ({"one"}, {"other"}, {"other"})
    assert check_recorded_rows(lab.db)[1] == []


def test_an_answer_of_an_unknown_base_is_used_only_on_request(lab: Lab) -> None:
    record_base_answers(lab.db, answers(lab, None, "old"))
    assert (texts(lab, ONE), texts(lab, ONE, or_unknown=True), texts(lab)) == (set(), {"old"}, {"old"})
    record_base_answers(lab.db, answers(lab, ONE, "one"))
    assert (texts(lab, ONE, or_unknown=True), texts(lab, OTHER, or_unknown=True)) == ({"one"}, {"old"})
    old, new = (event.payload for event in events_after(lab.db, 0) if event.kind == "base.examined")
    assert ("base" in old, new["base"]) == (False, ONE)
    assert check_recorded_rows(lab.db)[1] == []


@pytest.mark.parametrize("lie", [OTHER, None])
def test_an_answer_that_is_given_to_another_base_is_found(lab: Lab, lie: str | None) -> None:
    record_base_answers(lab.db, answers(lab, ONE, "one"))
    lab.db.execute("UPDATE answers SET base_fingerprint = ? WHERE rowid = 1", (lie,))
    assert any("answer without a candidate" in problem for problem in check_recorded_rows(lab.db)[1])


def test_what_a_version_answered_in_its_exam_counts_on_the_base_of_its_round_alone(lab: Lab) -> None:
    start_round(lab.db, seed=7, settings={"base": {"fingerprint": ONE}}, live_version=None, policy_version=None)
    state = model_state(lab.db, lab.accept().number)
    asked = [question.id for question in lab.task.questions]
    assert len(recorded_answers(lab.db, asked, state, ONE)) == len(recorded_answers(lab.db, asked, state)) == len(asked)
    assert recorded_answers(lab.db, asked, state, OTHER) == {}
    kept = answers(lab, OTHER, "on the other base", state.name)
    record_base_answers(lab.db, kept)
    assert recorded_answers(lab.db, asked, state, OTHER) == {answer.question_id: answer for answer in kept}
