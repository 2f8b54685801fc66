"""Answers without a candidate, once for each question and state of the model.

Of the untouched model, of a version, and of a candidate's adapter to the questions of others (as the adapter's hash).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from store.database import execute, transaction
from store.events import append_event
from store.hashing import hash_json
from store.records import Answer
from store.rows import select, to_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlite_utils import Database

_ASKED_AT_ONCE = 500


def record_base_answers(db: Database, answers: Sequence[Answer]) -> int:
    """Keep answers that no candidate gave and return how many are new; one kept for its question and state stays.

    Raises ValueError where an answer names a candidate.
    """
    for answer in answers:
        if answer.candidate_id is not None:
            raise ValueError(f"the answer to {answer.question_id} is that of candidate {answer.candidate_id}")
    with transaction(db):
        new = [answer for answer in answers if _insert_if_new(db, answer)]
        for model_state in sorted({answer.model_state for answer in new}):
            hashes = {a.question_id: hash_json(to_row(a)) for a in new if a.model_state == model_state}
            append_event(db, "base.examined", {"model_state": model_state, "hashes": hashes})
    return len(new)


def base_answers(db: Database, question_ids: Iterable[str], model_state: str) -> dict[str, Answer]:
    """Return what is kept of `model_state` for these questions, by question id; unasked questions are left out."""
    wanted = list(question_ids)
    found: dict[str, Answer] = {}
    for start in range(0, len(wanted), _ASKED_AT_ONCE):
        part = wanted[start : start + _ASKED_AT_ONCE]
        marks = ", ".join("?" for _ in part)
        rows = select(
            db,
            Answer,
            f"SELECT * FROM answers WHERE candidate_id IS NULL AND model_state = ? AND question_id IN ({marks})",  # noqa: S608
            (model_state, *part),
        )
        found.update({answer.question_id: answer for answer in rows})
    return found


def _insert_if_new(db: Database, answer: Answer) -> bool:
    row = to_row(answer)
    columns = ", ".join(row)
    marks = ", ".join("?" for _ in row)
    sql = f"INSERT INTO answers ({columns}) VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608
    return execute(db, sql, list(row.values())) == 1
