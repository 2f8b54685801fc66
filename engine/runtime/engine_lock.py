"""The engine lock: one engine works in a workspace, with its database in order and a channel to other processes."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.runtime.progress_channel import open_progress_channel
from store.database import open_database
from store.errors import SealError
from store.jobs import drop_stale_stops
from store.live_progress import clear_progress
from store.live_ref import sync_checkout
from store.lock import hold_lock
from store.recovery import recover
from store.workspace import Workspace, require_writable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlite_utils import Database

    from engine.runtime.progress import Report


@dataclass(frozen=True, slots=True)
class LockedWorkspace:
    """A workspace under the engine lock; consoles see what is sent to `report`, too."""

    workspace: Workspace
    db: Database
    report: Report


@contextmanager
def lock_workspace(workspace: Workspace, command: str, report: Report) -> Iterator[LockedWorkspace]:
    """Take the engine lock, finish what a crash left, notice a checkout by hand, and listen for a stop.

    Raises LockedError if another engine is working in the workspace, ReadOnlyError if it cannot be written to.
    """
    require_writable(workspace)
    stop = f"Wait until it is done, or stop it: seal-console -w {workspace.root} stop"
    with hold_lock(workspace.lock_file, command, next_step=stop) as owner:
        db = open_database(workspace.database_file)
        try:
            recover(workspace, db, engine_lock_held=True)
            sync_checkout(workspace, db)
            drop_stale_stops(db, before=owner.since)
            clear_progress(db)
            with open_progress_channel(workspace.database_file, report) as told:
                yield LockedWorkspace(workspace, db, told)
        finally:
            with suppress(SealError, sqlite3.Error):
                clear_progress(db)
            db.close()
