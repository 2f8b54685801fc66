"""The few facts that the top line of every screen shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from store.live_progress import read_progress
from store.review_queue import count_waiting
from store.version_rows import live_version
from store.version_tags import live_name

if TYPE_CHECKING:
    from sqlite_utils import Database

    from store.lock import LockOwner


@dataclass(frozen=True, slots=True)
class TopFacts:
    """What is live, how many candidates wait, and what the engine does, in a few words."""

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
