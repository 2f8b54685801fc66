"""Answers without a candidate, once for each question, state of the model and base.

Of the untouched model, of a version, and of a candidate's adapter to the questions of others (as the adapter's hash).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from store.database import execute, fetch, transaction
from store.events import append_event
from store.hashing import hash_json
from store.records import Answer
from store.rows import select, to_row
from store.version_tags import version_tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlite_utils import Database


_ASKED_AT_ONCE = 500


def record_base_answers(db: Database, answers: Sequence[Answer]) -> int:
    """Keep answers of the untouched model and return how many are new; an existing answer to a question is never
    replaced.

    Raises ValueError if an answer names a candidate.
    """
    for answer in answers:
        if answer.candidate_id is not None:
            raise ValueError(f"the answer to {answer.question_id} belongs to candidate {answer.candidate_id}")
    with transaction(db):
        new = [answer for answer in answers if _insert_if_new(db, answer)]
        for key in sorted({_event_key(answer) for answer in new}):
            model_state, base, form = key
            hashes = {a.question_id: hash_json(answer_as_hashed(a)) for a in new if _event_key(a) == key}
            of_base = {name: value for name, value in (("base", base), ("form", form)) if value}
            append_event(db, "base.examined", {"model_state": model_state, **of_base, "hashes": hashes})
    return len(new)


def _event_key(answer: Answer) -> tuple[str, str, str]:
    return answer.model_state, answer.base_fingerprint or "", answer.form or ""


def answer_as_hashed(answer: Answer) -> dict[str, Any]:
    """Return an answer's row as its event hashed it: older events know no `base_fingerprint`, `form` and `cut`."""
    return to_row(answer, without=[name for name in ("base_fingerprint", "form", "cut") if not getattr(answer, name)])


def base_answers(
    db: Database,
    question_ids: Iterable[str],
    model_state: str,
    base: str | None = None,
    form: str | None = None,
    *,
    or_unknown: bool = False,
) -> dict[str, Answer]:
    """Return the kept answers of `model_state` to these questions, by question id; unanswered questions are left out.

    `base` is the fingerprint of the answering model, `form` how the questions were put; with `or_unknown`, an answer of
    an unknown base replaces a missing one. Without `base`, the newest answer of any base and form is returned.
    """
    wanted = list(question_ids)
    found: dict[str, Answer] = {}
    for start in range(0, len(wanted), _ASKED_AT_ONCE):
        part = wanted[start : start + _ASKED_AT_ONCE]
        marks = ", ".join("?" for _ in part)
        rows = select(
            db,
            Answer,
            f"SELECT * FROM answers WHERE candidate_id IS NULL AND model_state = ? AND question_id IN ({marks}) "  # noqa: S608
            "ORDER BY rowid",
            (model_state, *part),
        )
        unknown = [answer for answer in rows if answer.base_fingerprint is None and or_unknown]
        known = [one for one in rows if base is None or (one.base_fingerprint, one.form) == (base, form)]
        found.update({answer.question_id: answer for answer in [*unknown, *known]})
    return found


def _insert_if_new(db: Database, answer: Answer) -> bool:
    row = to_row(answer)
    columns = ", ".join(row)
    marks = ", ".join("?" for _ in row)
    sql = f"INSERT INTO answers ({columns}) VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608
    return execute(db, sql, list(row.values())) == 1


BASE_STATE = "base"
WITH_CONTEXT_STATE = "base with context"  # the base, given the context with the question
_ON_BASE = (
    "(? IS NULL OR (SELECT json_extract(rounds.settings, '$.base.fingerprint') FROM candidates "
    "JOIN rounds ON rounds.number = candidates.round_number WHERE candidates.id = ?) = ?)"
)


@dataclass(frozen=True, slots=True)
class ModelState:
    """A model that answers: `name` is "base", a version's tag or an adapter's hash; only versions have the other
    fields.
    """

    name: str
    candidate_id: str | None = None
    adapter_hash: str | None = None

    @property
    def weights(self) -> str:
        """Identity of the answering weights: "base" or the adapter's hash."""
        return self.adapter_hash or self.name


def model_state(db: Database, number: int | None) -> ModelState:
    """Return the state of the model when this version is live; None or 0 is the base model alone."""
    if not number:
        return ModelState(BASE_STATE)
    rows = fetch(db, "SELECT candidate_id, adapter_hash FROM versions WHERE number = ?", (number,))
    return ModelState(version_tag(number), **rows[0]) if rows else ModelState(version_tag(number))


def recorded_answers(
    db: Database, question_ids: Sequence[str], state: ModelState, base: str | None = None, form: str | None = None
) -> dict[str, Answer]:
    """Return this state's answers by question id; questions that it never answered are left out.

    With `base`, the fingerprint of a model, only answers on that base to questions put in that form count.
    """
    given = _given_in_the_exam(db, question_ids, state, base)
    found = {key: one for key, one in given.items() if base is None or one.form == form}
    if state.adapter_hash is not None:
        found |= base_answers(db, question_ids, state.adapter_hash, base, form)
    return {**found, **base_answers(db, question_ids, state.name, base, form)}


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
