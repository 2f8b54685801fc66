"""Opens a workspace for a command: interrupted changes are finished first, and a manual checkout is followed."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from engine.settings.reading import load_settings
from store.database import open_database
from store.errors import SealError
from store.live_ref import sync_checkout
from store.recovery import recover
from store.version_tags import live_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlite_utils import Database

    from engine.settings.sections import Settings
    from seal_console.cli.invocation import Invocation, Output
    from store.workspace import Workspace


@dataclass(frozen=True)
class WorkspaceSession:
    """A workspace with its database; the settings are read on first use."""

    workspace: Workspace
    db: Database

    @cached_property
    def settings(self) -> Settings:
        """The settings; raises WrongUseError that lists every problem in the file."""
        return load_settings(self.workspace.settings_file)


@contextmanager
def open_to_change(invocation: Invocation) -> Iterator[WorkspaceSession]:
    """Open the workspace for a command that changes it. Raises SealError if it cannot be repaired."""
    with open_as_is(invocation) as found:
        tidy(found, invocation.output)
        yield found


@contextmanager
def open_to_show(invocation: Invocation) -> Iterator[WorkspaceSession]:
    """Open the workspace for a command that only reads; reports on stderr if it cannot be repaired."""
    with open_as_is(invocation) as found:
        try:
            tidy(found, invocation.output)
        except SealError as error:
            invocation.output.narrate(f"Warning: {error.message} Try: {error.next_step}", "yellow")
        yield found


def tidy(found: WorkspaceSession, output: Output) -> None:
    """Finish or remove what a crash interrupted, follow a manual checkout, and report each repair."""
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
def open_as_is(invocation: Invocation) -> Iterator[WorkspaceSession]:
    """Open the workspace as it is, for a command that judges it."""
    workspace = invocation.workspace()
    db = open_database(workspace.database_file)
    try:
        yield WorkspaceSession(workspace, db)
    finally:
        db.conn.close()
