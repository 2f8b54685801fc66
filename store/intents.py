"""Intents: a change of adapters/ is announced in seal.db before git's refs move.

After a crash only an announced change is finished. A tag or branch that somebody else put into adapters/, by hand or
with `git fetch`, matches no intent, so it never becomes an acceptance.
"""

from __future__ import annotations

import secrets
import sqlite3
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from store.database import execute, fetch, transaction
from store.errors import LockedError, SealError
from store.rows import insert, select

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlite_utils import Database

    from store.repository import Repository

RefMove = tuple[str, str | None, str]


@dataclass(frozen=True, slots=True)
class Intent:
    """A change that is about to be made: its refs as (ref, old id, new id), and the rows that will record it.

    `records` has the rows under "version", "decision", "move", "move_number" and "policy", as far as there are any.
    `token` is also in the message of the new tag, which therefore nobody can make beforehand.
    """

    token: str
    kind: Literal["accept", "rollback", "policy"]
    actor: str
    candidate_id: str | None
    adapter_hash: str | None
    manifest_hash: str | None
    parent_commit: str
    refs: list[RefMove]
    records: dict[str, Any]
    begun_at: str

    @property
    def tag_object(self) -> str | None:
        """The object of the tag that the change creates, None if it creates none."""
        return next((new for ref, _, new in self.refs if ref.startswith("refs/tags/")), None)


def new_token() -> str:
    """Return an unguessable name for an intent."""
    return secrets.token_hex(16)


@contextmanager
def carrying_out(repository: Repository, db: Database, intent: Intent) -> Iterator[None]:
    """Announce a change durably, then let the block make it; the block's last transaction calls `close_intent`.

    If the block fails before any ref has moved, the intent is withdrawn; otherwise start-up finishes the change.
    """
    with transaction(db):
        insert(db, "intents", intent)
    try:
        yield
    except BaseException:
        with suppress(SealError, sqlite3.Error):
            if not took_effect(repository, intent):
                close_intent(db, intent)
        raise


def close_intent(db: Database, intent: Intent) -> None:
    """Delete an intent: its change is recorded, or was never made."""
    execute(db, "DELETE FROM intents WHERE token = ?", (intent.token,))


def open_intents(db: Database) -> list[Intent]:
    """Return the changes that were announced and not finished, oldest first."""
    return select(db, Intent, "SELECT * FROM intents ORDER BY begun_at, token")


def took_effect(repository: Repository, intent: Intent) -> bool:
    """Return whether a ref is where the change was to move it."""
    return any(old != new and repository.object_id(ref) == new for ref, old, new in intent.refs)


def require_no_intent(db: Database, candidate_id: str) -> None:
    """Raise LockedError if somebody is accepting a candidate, or died while doing so."""
    found = fetch(db, "SELECT actor, begun_at FROM intents WHERE candidate_id = ?", (candidate_id,))
    if found:
        raise LockedError(
            f"Candidate {candidate_id} has been in the middle of being accepted by {found[0]['actor']} since "
            f"{found[0]['begun_at']}.",
            next_step="Try again in a moment. If that process has died: seal-console verify finishes what it began.",
        )
