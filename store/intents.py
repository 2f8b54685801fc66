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
from store.version_tags import live_name

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


class UnrecordedChangeError(SealError):
    """A change has taken effect in adapters/, but something failed before seal.db had recorded it."""

    def __init__(self, intent: Intent, reason: Exception) -> None:
        rows = intent.records
        tag = rows["policy"]["tag"] if intent.kind == "policy" else live_name(rows["move"]["to_version"])
        self.tag = tag
        done = f"policy {tag} is kept" if intent.kind == "policy" else f"{tag} is live"
        why = reason.strerror if isinstance(reason, OSError) and reason.strerror else str(reason)
        super().__init__(
            f"{done}: git has it, but it could not be recorded in seal.db ({why}).",
            next_step="seal-console verify records it, and so does every other command; do not repeat this one.",
        )


def new_token() -> str:
    """Return an unguessable name for an intent."""
    return secrets.token_hex(16)


@contextmanager
def carrying_out(repository: Repository, db: Database, intent: Intent) -> Iterator[None]:
    """Announce a change durably, then let the block make it; the block's last transaction calls `close_intent`.

    If the block fails before any ref has moved, the intent is withdrawn. Otherwise the change is there, and start-up
    finishes it: raises UnrecordedChangeError.
    """
    with transaction(db):
        insert(db, "intents", intent)
    try:
        yield
    except BaseException as error:
        is_there = False
        with suppress(SealError, sqlite3.Error):
            is_there = took_effect(repository, intent)
            if not is_there:
                close_intent(db, intent)
        if is_there and isinstance(error, Exception):
            raise UnrecordedChangeError(intent, error) from error
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
