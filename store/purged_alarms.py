"""What alarms and the measures of rounds quote of a task, for a purge: examples, and a round's commonest answer.

Both tables are append-only. A purge takes their triggers away and puts them back in the transaction that it runs in.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from store.alarms import Alarm, RoundMeasures
from store.database import execute, fetch, fetch_value
from store.hashing import canonical_json, hash_json
from store.rows import select, to_row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlite_utils import Database

_TRIGGERS = ("alarms_stay", "round_measures_stay")
_QUOTES = ("task", "self_edit", "question", "expected", "commonest")


def hashes_of_alarms(db: Database, task_id: str) -> dict[str, dict[str, str]]:
    """Return the hashes of the rows that may quote a task, by kind and key."""
    rounds = _rounds(db, task_id)
    return {
        "alarm": {str(one.id): hash_json(to_row(one)) for one in _alarms(db, rounds)},
        "measures": {str(one.round_number): hash_json(to_row(one)) for one in _measures(db, rounds)},
    }


def empty_alarms(db: Database, task_id: str) -> None:
    """Take out what alarms and measures quote of a task; the rounds' commonest answers go, too, whose they are."""
    rounds = _rounds(db, task_id)
    candidates = {row["id"] for row in fetch(db, "SELECT id FROM candidates WHERE task_id = ?", (task_id,))}
    with _without_triggers(db):
        for alarm in _alarms(db, rounds):
            evidence = canonical_json(_without_quotes(alarm.evidence, candidates))
            execute(db, "UPDATE alarms SET evidence = ? WHERE id = ?", (evidence, alarm.id))
        for one in _measures(db, rounds):
            measures = {**one.measures, **({"commonest": ""} if one.measures.get("commonest") else {})}
            sql = "UPDATE round_measures SET measures = ? WHERE round_number = ?"
            execute(db, sql, (canonical_json(measures), one.round_number))


def _without_quotes(evidence: dict[str, Any], candidates: set[str]) -> dict[str, Any]:
    examples = [
        {**example, **dict.fromkeys(_QUOTES, "")} if example.get("candidate") in candidates else example
        for example in evidence.get("examples", [])
    ]
    answer = {"answer": ""} if "answer" in evidence else {}
    return {**evidence, **answer, **({"examples": examples} if "examples" in evidence else {})}


def _rounds(db: Database, task_id: str) -> list[int]:
    sql = "SELECT DISTINCT round_number FROM candidates WHERE task_id = ? ORDER BY round_number"
    return [row["round_number"] for row in fetch(db, sql, (task_id,))]


def _alarms(db: Database, rounds: list[int]) -> list[Alarm]:
    marks = ", ".join("?" for _ in rounds)
    return select(db, Alarm, f"SELECT * FROM alarms WHERE round_number IN ({marks})", rounds)  # noqa: S608


def _measures(db: Database, rounds: list[int]) -> list[RoundMeasures]:
    marks = ", ".join("?" for _ in rounds)
    sql = f"SELECT * FROM round_measures WHERE round_number IN ({marks})"  # noqa: S608
    return select(db, RoundMeasures, sql, rounds)


@contextmanager
def _without_triggers(db: Database) -> Iterator[None]:
    texts = [fetch_value(db, "SELECT sql FROM sqlite_schema WHERE name = ?", (name,)) for name in _TRIGGERS]
    for name in _TRIGGERS:
        execute(db, f"DROP TRIGGER {name}")
    yield
    for text in texts:
        execute(db, str(text))
