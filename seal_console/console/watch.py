"""Notices changes by other processes: an engine, cron, another console, a person with git."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from store.database import fetch_value
from store.events import chain_head
from store.live_progress import read_progress
from store.lock import LockOwner, lock_owner
from store.review_queue import count_waiting
from store.version_rows import live_version
from store.version_tags import live_name

if TYPE_CHECKING:
    from sqlite_utils import Database

    from store.lock import LockOwner
    from store.workspace import Workspace


INTERVAL_S = 0.3


@dataclass(frozen=True, slots=True)
class Pulse:
    """Values that are compared from one look to the next."""

    data_version: int
    events: int
    engine: LockOwner | None
    head: str


def pulse(workspace: Workspace, db: Database) -> Pulse:
    """Read the current values.

    `data_version` changes with every commit of another connection, such as progress; `events` with every event; `head`
    with a manual checkout.
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


@dataclass(frozen=True, slots=True)
class TopFacts:
    """The live version, the number of waiting candidates, and the engine's activity in a few words."""

    waiting: int = 0
    live: str = "…"
    engine: str = "…"
    running: bool = False


def top_facts(db: Database, engine: LockOwner | None) -> TopFacts:
    """Read the facts."""
    return TopFacts(count_waiting(db), live_name(live_version(db)), _doing(db, engine), engine is not None)


def _doing(db: Database, engine: LockOwner | None) -> str:
    if engine is None:
        return "idle"
    stages = [one for one in read_progress(db) if one.total and one.done < one.total]
    if not stages:
        return engine.command
    newest = max(stages, key=lambda one: one.updated_at)
    return f"{newest.stage} {newest.done:,}/{newest.total:,}"
