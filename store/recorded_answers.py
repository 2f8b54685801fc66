"""What a state of the model is recorded to have answered: the untouched base, or a version. Nothing is asked here.

A version's answers are those kept under its tag, and those that its candidate's adapter, which is the same adapter,
gave in its own exam and in the exam of earlier edits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from store.base_answers import base_answers
from store.database import fetch
from store.records import Answer
from store.rows import select
from store.version_names import version_tag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlite_utils import Database

BASE_STATE = "base"
_ASKED_AT_ONCE = 500
_ON_BASE = (
    "(? IS NULL OR (SELECT json_extract(rounds.settings, '$.base.fingerprint') FROM candidates "
    "JOIN rounds ON rounds.number = candidates.round_number WHERE candidates.id = ?) = ?)"
)


@dataclass(frozen=True, slots=True)
class ModelState:
    """What answers: `name` is "base", a version's tag, or an adapter's hash; a version has the rest too."""

    name: str
    candidate_id: str | None = None
    adapter_hash: str | None = None

    @property
    def weights(self) -> str:
        """What tells the weights that answer from others: "base", or the adapter's hash."""
        return self.adapter_hash or self.name


def model_state(db: Database, number: int | None) -> ModelState:
    """Return the state of the model where this version is live; None or 0 is the base model alone."""
    if not number:
        return ModelState(BASE_STATE)
    rows = fetch(db, "SELECT candidate_id, adapter_hash FROM versions WHERE number = ?", (number,))
    return ModelState(version_tag(number), **rows[0]) if rows else ModelState(version_tag(number))


def recorded_answers(
    db: Database, question_ids: Sequence[str], state: ModelState, base: str | None = None
) -> dict[str, Answer]:
    """Return what this state answered, by question id; a question that it was never asked is left out.

    With `base`, the fingerprint of a model, only what was answered on that base counts.
    """
    found = _given_in_the_exam(db, question_ids, state, base)
    if state.adapter_hash is not None:
        found |= base_answers(db, question_ids, state.adapter_hash, base)
    return {**found, **base_answers(db, question_ids, state.name, base)}


def _given_in_the_exam(
    db: Database, question_ids: Sequence[str], state: ModelState, base: str | None
) -> dict[str, Answer]:
    if state.candidate_id is None or state.adapter_hash is None:
        return {}
    found: dict[str, Answer] = {}
    for start in range(0, len(question_ids), _ASKED_AT_ONCE):
        part = question_ids[start : start + _ASKED_AT_ONCE]
        marks = ", ".join("?" for _ in part)
        rows = select(
            db,
            Answer,
            "SELECT * FROM answers WHERE candidate_id = ? AND phase = 'after' AND model_state = ? "  # noqa: S608
            f"AND question_id IN ({marks}) AND {_ON_BASE} ORDER BY repeat DESC",
            (state.candidate_id, state.adapter_hash, *part, base, state.candidate_id, base),
        )
        found.update({answer.question_id: answer for answer in rows})
    return found
