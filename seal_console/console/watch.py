"""Notices what other processes do to the workspace: an engine, cron, another console, a person with git."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from store.database import fetch_value
from store.events import chain_head
from store.lock import LockOwner, lock_owner

if TYPE_CHECKING:
    from sqlite_utils import Database

    from store.workspace import Workspace

INTERVAL_S = 0.3


@dataclass(frozen=True, slots=True)
class Pulse:
    """What is compared from one look to the next."""

    data_version: int
    events: int
    engine: LockOwner | None
    head: str


def pulse(workspace: Workspace, db: Database) -> Pulse:
    """Look once.

    `data_version` changes with every commit of another connection, such as progress; `events` where something
    happened; `head` with a checkout by hand.
    """
    return Pulse(
        data_version=int(fetch_value(db, "PRAGMA data_version")),
        events=chain_head(db)[0],
        engine=lock_owner(workspace.lock_file),
        head=_head(workspace),
    )


def _head(workspace: Workspace) -> str:
    try:
        return (workspace.adapters_folder / ".git" / "HEAD").read_text(encoding="utf-8").strip()
    except OSError:
        return ""
