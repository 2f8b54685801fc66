"""Opens a workspace for a command: interrupted changes are finished first, and a manual checkout is followed."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from engine.settings.reading import load_settings
from store.database import open_database, open_to_read
from store.errors import SealError
from store.expected_failures import DiskFailureError, expected_failure
from store.intents import UnrecordedChangeError
from store.live_ref import sync_checkout
from store.recovery import recover
from store.version_tags import live_name
from store.workspace import Workspace, is_writable, require_writable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlite_utils import Database

    from engine.settings.sections import Settings
    from seal_console.cli.invocation import Invocation, Output


@dataclass(frozen=True)
class WorkspaceSession:
    """A workspace with its database; the settings are read on first use. If it is `read_only`, nothing is repaired."""

    workspace: Workspace
    db: Database
    read_only: bool = False

    @cached_property
    def settings(self) -> Settings:
        """The settings; raises WrongUseError that lists every problem in the file."""
        return load_settings(self.workspace.settings_file)


@contextmanager
def open_to_change(invocation: Invocation) -> Iterator[WorkspaceSession]:
    """Open the workspace for a command that changes it. Raises SealError if it is read-only or cannot be repaired."""
    require_writable(invocation.workspace())
    with open_as_is(invocation) as found:
        tidy(found, invocation.output)
        try:
            yield found
        except UnrecordedChangeError:
            invocation.has_acted = True
            raise
        invocation.has_acted = True


@contextmanager
def open_to_show(invocation: Invocation) -> Iterator[WorkspaceSession]:
    """Open the workspace for a command that only reads; reports on stderr if it cannot be repaired."""
    with open_as_is(invocation, or_read=True) as found:
        try:
            tidy(found, invocation.output)
        except (SealError, sqlite3.Error, OSError) as error:
            expected = expected_failure(error, found.workspace.database_file)
            if expected is None:
                raise
            invocation.output.narrate(f"Warning: {expected.message} Try: {expected.next_step}", "yellow")
        yield found


def tidy(found: WorkspaceSession, output: Output) -> None:
    """Finish or remove what a crash interrupted, follow a manual checkout, and report each repair."""
    if found.read_only:
        output.narrate(f"{found.workspace.root} is read-only: it is shown as it is, and nothing is repaired.", "yellow")
        return
    for sentence in recover(found.workspace, found.db):
        output.narrate(f"Repaired: {sentence}", "yellow")
    move = sync_checkout(found.workspace, found.db)
    if move is not None:
        output.narrate(
            f"Noticed: {live_name(move.to_version)} was checked out with git; it is live now, "
            f"instead of {live_name(move.from_version)}.",
            "yellow",
        )


@contextmanager
def open_as_is(invocation: Invocation, *, or_read: bool = False) -> Iterator[WorkspaceSession]:
    """Open the workspace as it is, for a command that judges it; read-only if it cannot be written to.

    With `or_read`, a full or failing disk makes it read-only too, with a warning.
    """
    workspace = invocation.workspace()
    read_only = not is_writable(workspace)
    try:
        db = (open_to_read if read_only else open_database)(workspace.database_file)
    except DiskFailureError as error:
        if not or_read:
            raise
        invocation.output.narrate(f"Warning: {error.message} Try: {error.next_step}", "yellow")
        read_only, db = True, open_to_read(workspace.database_file)
    try:
        yield WorkspaceSession(workspace, db, read_only)
    finally:
        db.conn.close()
