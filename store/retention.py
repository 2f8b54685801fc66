"""Measurements of retention suites and anchors: one for each prompt, or set of anchors, and state of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from store.database import execute, transaction
from store.events import append_event
from store.hashing import hash_json
from store.records import Drift, RetentionAnswer, SuiteNoise
from store.rows import select, to_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlite_utils import Database

_ASKED_AT_ONCE = 500


def retention_answer_as_hashed(answer: RetentionAnswer) -> dict[str, Any]:
    """Return an answer's row as its event hashed it: older events know no `cut`."""
    return to_row(answer, without=() if answer.cut else ("cut",))


def record_retention_answers(db: Database, answers: Sequence[RetentionAnswer]) -> int:
    """Keep answers and return how many are new; one kept for its prompt and state stays."""
    with transaction(db):
        new = [answer for answer in answers if _insert_if_new(db, "retention_answers", answer)]
        for model_state in sorted({answer.model_state for answer in new}):
            hashes = {
                a.prompt_hash: hash_json(retention_answer_as_hashed(a)) for a in new if a.model_state == model_state
            }
            append_event(db, "retention.examined", {"model_state": model_state, "hashes": hashes})
    return len(new)


def retention_answers(db: Database, prompt_hashes: Iterable[str], model_state: str) -> dict[str, RetentionAnswer]:
    """Return the kept answers of `model_state` by prompt hash; prompts that it did not answer are left out."""
    wanted = list(prompt_hashes)
    found: dict[str, RetentionAnswer] = {}
    for start in range(0, len(wanted), _ASKED_AT_ONCE):
        part = wanted[start : start + _ASKED_AT_ONCE]
        marks = ", ".join("?" for _ in part)
        rows = select(
            db,
            RetentionAnswer,
            f"SELECT * FROM retention_answers WHERE model_state = ? AND prompt_hash IN ({marks})",  # noqa: S608
            (model_state, *part),
        )
        found.update({answer.prompt_hash: answer for answer in rows})
    return found


def record_drift(db: Database, measured: Sequence[Drift]) -> int:
    """Keep measurements and return how many are new; one kept for its anchors and state stays."""
    with transaction(db):
        new = [drift for drift in measured if _insert_if_new(db, "drift", drift)]
        for drift in new:
            place = {"anchors_hash": drift.anchors_hash, "model_state": drift.model_state}
            append_event(db, "drift.measured", {**place, "hash": hash_json(to_row(drift))})
    return len(new)


def measured_drift(db: Database, anchors_hash: str, model_state: str) -> Drift | None:
    """Return the drift of `model_state` on a set of anchors; None if it was not measured."""
    rows = select(
        db, Drift, "SELECT * FROM drift WHERE anchors_hash = ? AND model_state = ?", (anchors_hash, model_state)
    )
    return rows[0] if rows else None


def record_noise(db: Database, measured: Sequence[SuiteNoise]) -> int:
    """Keep noise floors and return how many are new; one kept for its prompts and conditions stays."""
    with transaction(db):
        new = [noise for noise in measured if _insert_if_new(db, "suite_noise", noise)]
        for noise in new:
            place = {"prompts_hash": noise.prompts_hash, "conditions_hash": noise.conditions_hash}
            append_event(db, "noise.measured", {"suite": noise.suite, **place, "hash": hash_json(to_row(noise))})
    return len(new)


def measured_noise(db: Database, prompts_hash: str, conditions_hash: str) -> SuiteNoise | None:
    """Return the noise floor of a suite's prompts under some conditions; None if it was not measured."""
    sql = "SELECT * FROM suite_noise WHERE prompts_hash = ? AND conditions_hash = ?"
    rows = select(db, SuiteNoise, sql, (prompts_hash, conditions_hash))
    return rows[0] if rows else None


def newest_noise(db: Database) -> dict[str, SuiteNoise]:
    """Return by the hash of its prompts the noise floor of each suite that was measured last, the oldest first."""
    rows = select(db, SuiteNoise, "SELECT * FROM suite_noise ORDER BY measured_at, suite, conditions_hash")
    return {noise.prompts_hash: noise for noise in rows}


def _insert_if_new(db: Database, table: str, record: RetentionAnswer | Drift | SuiteNoise) -> bool:
    row = to_row(record)
    columns = ", ".join(row)
    marks = ", ".join("?" for _ in row)
    sql = f"INSERT INTO {table} ({columns}) VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608
    return execute(db, sql, list(row.values())) == 1
