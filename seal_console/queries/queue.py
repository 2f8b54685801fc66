"""The review queue as a large table: first all keys in order, then only the visible rows.

The keys are a snapshot: later candidates do not move a row, `arrived_since` counts them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.gates.evidence import RacingEvidence, read_evidence
from engine.gates.names import RACING_GATE
from seal_console.queries.filters import Condition, Field, parse_filter
from store.candidates import gates_of
from store.database import fetch, fetch_value
from store.ranking import rank_order
from store.review_queue import KNOWN_SPREAD, WAITING_CONDITION, on_older_parent
from store.version_rows import live_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlite_utils import Database

    from store.records import CandidateState

_FROM = "candidates JOIN tasks ON tasks.id = candidates.task_id"
_NEEDS_REVIEW = "EXISTS (SELECT 1 FROM gates WHERE candidate_id = candidates.id AND NOT passed AND on_failure = 'hold')"
_STOPPED = (
    "(SELECT json_extract(evidence, '$.repeats') || '/' || json_extract(evidence, '$.of_repeats') FROM gates "  # noqa: S608
    f"WHERE candidate_id = candidates.id AND gate = '{RACING_GATE}')"
)
FIELDS = {
    "id": Field("candidates.id"),
    "task": Field("tasks.title"),
    "text": Field("candidates.completion"),
    "state": Field("candidates.state"),
    "role": Field("candidates.role"),
    "format": Field("candidates.edit_format"),
    "source": Field("tasks.source"),
    "round": Field("candidates.round_number", "number"),
    "reward": Field("candidates.reward_mean", "number"),
    "spread": Field("candidates.reward_std", "number"),
    "audit": Field("candidates.audit_gain", "number"),
    "imported": Field("candidates.imported", "number"),
    "review": Field(_NEEDS_REVIEW, "number"),
}
# Names that saved filters may still use.
_FORMER_FIELDS = {"held": FIELDS["review"]}
_SEARCHED = ("candidates.completion", "tasks.title", "candidates.id")
SORTS = {
    "reward": rank_order(),
    "audit": f"round(candidates.audit_gain * 1e9) DESC, {rank_order()}",
    "task": f"tasks.title, {rank_order()}",
    "round": f"candidates.round_number DESC, {rank_order()}",
    "state": f"candidates.state, {rank_order()}",
    "id": "candidates.id",
}
# Every column that an export shows; the console goes through SORTS only.
COLUMN_SORTS = {
    **SORTS,
    "role": f"candidates.role DESC, {rank_order()}",
    "reward_mean": SORTS["reward"],
    "reward_std": f"candidates.reward_std IS NULL, candidates.reward_std, {rank_order()}",
    "audit_gain": SORTS["audit"],
    "parent": f"candidates.live_version, {rank_order()}",
    "derived_from": f"candidates.derived_from IS NULL, candidates.derived_from, {rank_order()}",
    "self_edit_begins": f"candidates.completion, {rank_order()}",
}


@dataclass(frozen=True, slots=True)
class QueueQuery:
    """What the table shows: the filter line, all candidates or only waiting ones, and the order."""

    text: str = ""
    everything: bool = False
    sort: str = "reward"
    backwards: bool = False


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One line of the table; `key` is the row's number in the database. `stopped` is as in "1/3" of the repeats."""

    key: int
    id: str
    round_number: int
    title: str
    state: CandidateState
    role: str
    reward_mean: float | None
    reward_std: float | None
    audit_gain: float | None
    live_version: int | None
    imported: int
    derived_from: str | None
    beginning: str
    needs_review: int = 0
    older_parent: bool = False
    stopped: str | None = None


def queue_keys(db: Database, query: QueueQuery) -> list[int]:
    """Return the keys of all candidates that fit, in order. Raises WrongUseError for a filter it cannot read."""
    condition = _condition(query)
    order = COLUMN_SORTS[query.sort]
    rows = db.conn.execute(
        f"SELECT candidates.rowid FROM {_tables(query, condition.sql + order)} WHERE {condition.sql} ORDER BY {order}",  # noqa: S608
        condition.parameters,
    )
    keys = [int(key) for (key,) in rows]
    return keys[::-1] if query.backwards else keys


def queue_rows(db: Database, keys: Sequence[int]) -> dict[int, QueueRow]:
    """Return the rows of some keys, by key; at most some hundred at a time."""
    marks = ", ".join("?" for _ in keys)
    found = fetch(
        db,
        "SELECT candidates.rowid AS key, candidates.id, round_number, tasks.title, state, role, reward_mean, "  # noqa: S608
        f"{KNOWN_SPREAD} AS reward_std, audit_gain, live_version, candidates.imported, derived_from, "
        f"{_STOPPED} AS stopped, {_NEEDS_REVIEW} AS needs_review, substr(completion, 1, 160) AS beginning "
        f"FROM {_FROM} WHERE candidates.rowid IN ({marks})",
        list(keys),
    )
    live = live_version(db)
    for row in found:
        row["older_parent"] = on_older_parent(row["state"], row["live_version"], live, imported=bool(row["imported"]))
    return {row["key"]: QueueRow(**row) for row in found}


def stopped_early(db: Database, candidate_id: str) -> RacingEvidence | None:
    """Return after how many repeats a candidate stopped, and why; None if it has all of them."""
    for gate in gates_of(db, candidate_id):
        evidence = read_evidence(gate.gate, gate.evidence) if gate.gate == RACING_GATE else None
        if isinstance(evidence, RacingEvidence):
            return evidence
    return None


def arrived_since(db: Database, query: QueueQuery, event: int) -> int:
    """Count the matching candidates that were examined after an event's number.

    They were proposed before that, so their own numbers do not tell; few events follow a recent number.
    """
    condition = _condition(query)
    return int(
        fetch_value(
            db,
            "WITH examined AS MATERIALIZED (SELECT json_extract(payload, '$.id') AS id FROM events "  # noqa: S608
            "WHERE sequence > ? AND kind = 'candidate.examined') "
            f"SELECT count(*) FROM examined CROSS JOIN candidates ON candidates.id = examined.id "
            f"JOIN tasks ON tasks.id = candidates.task_id WHERE {condition.sql}",
            (event, *condition.parameters),
        )
    )


def siblings(db: Database, candidate_id: str) -> list[QueueRow]:
    """Return all measured candidates of the same task and round, best first, the candidate itself among them."""
    keys = fetch(
        db,
        "SELECT other.rowid AS key FROM candidates one JOIN candidates other "  # noqa: S608
        "ON other.task_id = one.task_id AND other.round_number = one.round_number AND other.role = one.role "
        f"WHERE one.id = ? AND other.reward_mean IS NOT NULL ORDER BY {rank_order('other')} LIMIT 50",
        (candidate_id,),
    )
    rows = queue_rows(db, [row["key"] for row in keys]) if keys else {}
    return [rows[row["key"]] for row in keys]


def _tables(query: QueueQuery, terms: str) -> str:
    """Return what to select from: every candidate has a task, so tasks are joined only if a term names them.

    Without a filter, the index in the order of the ranking has all that the query needs. SQLite would choose a smaller
    one and sort, which takes six times as long with 100,000 candidates.
    """
    if "tasks." in terms:
        return _FROM
    return "candidates" if query.text.strip() else "candidates INDEXED BY candidates_by_rank"


def _condition(query: QueueQuery) -> Condition:
    parsed = parse_filter(query.text, FIELDS, _SEARCHED, _FORMER_FIELDS)
    if query.everything:
        return parsed
    return Condition(f"{WAITING_CONDITION} AND {parsed.sql}", parsed.parameters)
