"""The event log as a table of any length: without a filter its keys are a range, and only visible events are read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seal_console.queries.filters import Field, parse_filter
from store.database import fetch, fetch_value
from store.events import GENESIS_HASH, chain_head, events_after

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlite_utils import Database

    from store.records import Event

_LONGEST_READ_FOR_A_ROW = 20_000
_IF_JSON = "CASE WHEN json_valid(payload) THEN {} END"
_ACTOR = _IF_JSON.format(
    "coalesce(json_extract(payload, '$.actor'), json_extract(payload, '$.decision.actor'), "
    "json_extract(payload, '$.move.actor'))"
)
_ROUND = _IF_JSON.format("CASE WHEN kind LIKE 'round.%' THEN json_extract(payload, '$.number') END")

FIELDS = {
    "kind": Field("kind"),
    "actor": Field(f"coalesce({_ACTOR}, '')"),
    "text": Field("payload"),
    "at": Field("at", "time"),
    "round": Field(_ROUND, "number"),
    "number": Field("sequence", "number"),
    "hash": Field("hash"),
}
_SEARCHED = ("kind", "payload")


@dataclass(frozen=True, slots=True)
class EventRow:
    """One line of the table; `payload` is None if it is too long to be read for a line."""

    sequence: int
    at: str
    kind: str
    payload: dict[str, Any] | None
    payload_characters: int


@dataclass(frozen=True, slots=True)
class EventFacts:
    """One event, and whether its previous hash is the hash of the event before it."""

    event: Event
    follows: bool


def event_keys(db: Database, text: str) -> Sequence[int]:
    """Return the numbers of the events that fit, oldest first. Raises WrongUseError for a filter it cannot read."""
    if not text.strip():
        return range(1, chain_head(db)[0] + 1)
    return event_keys_after(db, text, 0)


def event_keys_after(db: Database, text: str, sequence: int) -> Sequence[int]:
    """Return the numbers of the events that fit and follow a number, oldest first."""
    if not text.strip():
        return range(sequence + 1, chain_head(db)[0] + 1)
    condition = parse_filter(text, FIELDS, _SEARCHED)
    rows = db.conn.execute(
        f"SELECT sequence FROM events WHERE sequence > ? AND {condition.sql} ORDER BY sequence",  # noqa: S608
        (sequence, *condition.parameters),
    )
    return [int(number) for (number,) in rows]


def event_rows(db: Database, sequences: Sequence[int]) -> dict[int, EventRow]:
    """Return the rows of some numbers; at most some hundred at a time."""
    marks = ", ".join("?" for _ in sequences)
    found = fetch(
        db,
        "SELECT sequence, at, kind, length(payload) AS size, "  # noqa: S608
        f"CASE WHEN length(payload) <= {_LONGEST_READ_FOR_A_ROW} THEN payload END AS payload "
        f"FROM events WHERE sequence IN ({marks})",
        list(sequences),
    )
    return {
        row["sequence"]: EventRow(row["sequence"], row["at"], row["kind"], _parsed(row["payload"]), row["size"])
        for row in found
    }


def event_facts(db: Database, sequence: int) -> EventFacts | None:
    """Read one event; None if there is none of this number."""
    found = events_after(db, sequence - 1, 1)
    if not found or found[0].sequence != sequence:
        return None
    before = fetch_value(db, "SELECT hash FROM events WHERE sequence = ?", (sequence - 1,))
    return EventFacts(found[0], found[0].previous_hash == (GENESIS_HASH if sequence == 1 else before))


def export_events(db: Database, sequences: Sequence[int]) -> list[tuple[int, str, str, str, str, str]]:
    """Return number, time, kind, payload as canonical JSON, and both hashes of some events, in their order."""
    marks = ", ".join("?" for _ in sequences)
    return list(
        db.conn.execute(
            "SELECT sequence, at, kind, payload, previous_hash, hash FROM events "  # noqa: S608
            f"WHERE sequence IN ({marks}) ORDER BY sequence",
            tuple(sequences),
        )
    )


def _parsed(payload: str | None) -> dict[str, Any] | None:
    if payload is None:
        return None
    try:
        value = json.loads(payload)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
