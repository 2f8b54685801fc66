"""The append-only event log, each event chained to the one before it by hash.

`verify_chain` finds a changed, missing or moved event; a log cut off at its end is found through the chain heads that
the manifests of versions carry (store/verify.py).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from store.clock import utc_now
from store.database import fetch, transaction
from store.hashing import HASH_PREFIX, canonical_json, hash_json
from store.records import Event
from store.rows import insert, select

if TYPE_CHECKING:
    from sqlite_utils import Database

GENESIS_HASH = HASH_PREFIX + "0" * 64


def append_event(db: Database, kind: str, payload: dict[str, Any]) -> Event:
    """Append one event, inside the caller's transaction or in its own; safe with several processes at once."""
    with transaction(db):
        sequence, previous_hash = chain_head(db)
        at = utc_now()
        kept_payload = json.loads(canonical_json(payload))
        event = Event(
            sequence=sequence + 1,
            at=at,
            kind=kind,
            payload=kept_payload,
            previous_hash=previous_hash,
            hash=_link_hash(previous_hash, sequence + 1, at, kind, kept_payload),
        )
        insert(db, "events", event)
    return event


def events_after(db: Database, sequence: int, limit: int = 1000) -> list[Event]:
    """Return up to `limit` events that follow number `sequence`, in order."""
    return select(db, Event, "SELECT * FROM events WHERE sequence > ? ORDER BY sequence LIMIT ?", (sequence, limit))


def chain_head(db: Database) -> tuple[int, str]:
    """Return number and hash of the newest event; (0, GENESIS_HASH) if there is none."""
    rows = fetch(db, "SELECT sequence, hash FROM events ORDER BY sequence DESC LIMIT 1")
    return (rows[0]["sequence"], rows[0]["hash"]) if rows else (0, GENESIS_HASH)


def head_as_json(db: Database) -> dict[str, Any]:
    """Return the end of the log as results of commands carry it; kept elsewhere, it shows later what was rewritten."""
    sequence, newest = chain_head(db)
    return {"sequence": sequence, "hash": newest}


def verify_chain(db: Database) -> int | None:
    """Recompute the chain; return the first number that does not match, or None if all match."""
    expected_sequence, previous_hash = 1, GENESIS_HASH
    for row in fetch(db, "SELECT * FROM events ORDER BY sequence"):
        if row["sequence"] != expected_sequence or row["previous_hash"] != previous_hash or not _holds(row):
            return expected_sequence
        expected_sequence, previous_hash = expected_sequence + 1, row["hash"]
    return None


def _holds(row: dict[str, Any]) -> bool:
    try:
        payload = json.loads(row["payload"])
        is_canonical = canonical_json(payload) == row["payload"]
        expected = _link_hash(row["previous_hash"], row["sequence"], row["at"], row["kind"], payload)
    except (TypeError, ValueError):
        return False
    return is_canonical and bool(expected == row["hash"])


def _link_hash(previous_hash: str, sequence: int, at: str, kind: str, payload: dict[str, Any]) -> str:
    return hash_json([previous_hash, sequence, at, kind, payload])
