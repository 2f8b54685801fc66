"""The rows that make versions, policy versions and moves true; each change is one transaction with its events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from store.candidates import set_state
from store.database import fetch_value, transaction
from store.errors import WrongUseError
from store.events import append_event
from store.records import Decision, Move, PolicyVersion, Version
from store.rows import insert, select, to_row
from store.version_tags import parse_number, policy_tag, version_tag

if TYPE_CHECKING:
    from sqlite_utils import Database


def record_acceptance(
    db: Database, version: Version, decision: Decision, move_number: int, move: Move, *, tag_object: str | None
) -> None:
    """Record an acceptance: version, decision, the candidate's state, and the move of `live`."""
    with transaction(db):
        insert(db, "versions", version)
        set_state(db, version.candidate_id, "accepted", decision)
        append_event(
            db, "candidate.accepted", _with_tag(tag_object, version=to_row(version), decision=to_row(decision))
        )
        record_move(db, move_number, move)


def record_move(db: Database, move_number: int, move: Move) -> None:
    """Make a move true."""
    with transaction(db):
        insert(db, "moves", move, extra={"id": move_number})
        append_event(db, f"{move.name}.moved", {"number": move_number, "move": to_row(move)})


def record_policy_version(db: Database, policy: PolicyVersion, tag_object: str | None) -> None:
    """Make a policy version true."""
    with transaction(db):
        insert(db, "policy_versions", policy)
        append_event(db, "policy.added", _with_tag(tag_object, policy=to_row(policy)))


def _with_tag(tag_object: str | None, **payload: Any) -> dict[str, Any]:
    return payload if tag_object is None else {**payload, "tag_object": tag_object}


def list_versions(db: Database) -> list[Version]:
    """Return all accepted versions by number."""
    return select(db, Version, "SELECT * FROM versions ORDER BY number")


def get_version(db: Database, written: str | int) -> Version:
    """Return the version called "v0003", "3" or 3. Raises WrongUseError if there is none."""
    number = parse_number(written)
    found = select(db, Version, "SELECT * FROM versions WHERE number = ?", (number,))
    if not found:
        raise WrongUseError(f"There is no version {version_tag(number)}.", next_step="seal-console versions list")
    return found[0]


def live_version(db: Database) -> int | None:
    """Return the number of the live version, or None if nothing is live."""
    live: int | None = fetch_value(db, "SELECT to_version FROM moves WHERE name = 'live' ORDER BY id DESC LIMIT 1")
    return live


def list_moves(db: Database, name: Literal["live", "shadow"] | None = None) -> list[Move]:
    """Return all moves, oldest first."""
    return select(db, Move, "SELECT * FROM moves WHERE name = coalesce(?, name) ORDER BY id", (name,))


def next_move_number(db: Database) -> int:
    """Return the number that the next move will have."""
    return int(fetch_value(db, "SELECT coalesce(max(id), 0) FROM moves")) + 1


def list_policy_versions(db: Database) -> list[PolicyVersion]:
    """Return all policy versions by number."""
    return select(db, PolicyVersion, "SELECT * FROM policy_versions ORDER BY number")


def get_policy_version(db: Database, written: str | int) -> PolicyVersion:
    """Return the policy version called "p0003", "3" or 3. Raises WrongUseError if there is none."""
    number = parse_number(written)
    found = select(db, PolicyVersion, "SELECT * FROM policy_versions WHERE number = ?", (number,))
    if not found:
        raise WrongUseError(f"There is no policy version {policy_tag(number)}.", next_step="seal-console info")
    return found[0]


def latest_policy_version(db: Database) -> PolicyVersion | None:
    """Return the newest policy version, or None if there is none."""
    policies = list_policy_versions(db)
    return policies[-1] if policies else None
