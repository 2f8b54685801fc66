"""Asks every version of a line the questions that the forgetting matrix lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.progress import Progress
from engine.retention.earlier import edits_of, line_of
from engine.retention.exam import Examinee, question_answers
from store.recorded_answers import model_state, recorded_answers

if TYPE_CHECKING:
    from engine.session import Session

# Adapters whose weights are in memory at once, and answer in one mixed batch.
_VERSIONS_AT_ONCE = 8


def fill_matrix(session: Session, version: int | None) -> int:
    """Ask what is not recorded; returns how many answers are new."""
    db = session.db
    line = line_of(db, version)
    questions = {question.id: question for edit in edits_of(db, line) for question in edit.task.questions}
    numbers = [None, *(one.number for one in line)]
    new = 0
    for start in range(0, len(numbers), _VERSIONS_AT_ONCE):
        part = numbers[start : start + _VERSIONS_AT_ONCE]
        session.report(Progress("exam", start, len(numbers), "versions"))
        states = [model_state(db, number) for number in part]
        known = sum(len(recorded_answers(db, list(questions), state, session.base.fingerprint)) for state in states)
        examinees = [Examinee(state, session.live_adapter(number)) for state, number in zip(states, part, strict=True)]
        new += sum(map(len, question_answers(session, list(questions.values()), examinees))) - known
    session.report(Progress("exam", len(numbers), len(numbers), "versions"))
    return new
