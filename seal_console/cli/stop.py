"""`stop`: stops the engine of a workspace, whoever started it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from seal_console.cli.command import SealCommand
from seal_console.cli.invocation import pass_invocation
from seal_console.cli.workspace_session import open_to_change
from seal_console.console.engine_control import stop_engine
from store.errors import ExitCode, NothingToDoError
from store.lock import current_user, lock_owner
from store.wording import counted

if TYPE_CHECKING:
    from seal_console.cli.invocation import Invocation


@click.command(
    "stop",
    cls=SealCommand,
    short_help="Stop the running engine.",
    examples=("seal-console stop",),
    exits=(ExitCode.NOTHING_TO_DO,),
)
@pass_invocation
def stop(invocation: Invocation) -> None:
    """Ask the engine that runs in the workspace to stop, and cancel waiting jobs.

    Completed measurements are kept; the round is marked interrupted, and the next run resumes it.
    """
    with open_to_change(invocation) as found:
        owner = lock_owner(found.workspace.lock_file)
        cancelled = stop_engine(found.workspace, found.db, current_user())
    if owner is None and not cancelled:
        raise NothingToDoError("No engine is running in this workspace, and no job is waiting.")
    stopped = {"asked_to_stop": None if owner is None else owner.pid, "cancelled_jobs": cancelled}
    if invocation.output.as_json:
        invocation.output.data(stopped)
        return
    if owner is not None:
        invocation.output.show(f"Asked process {owner.pid} ({owner.command}) to stop. Completed measurements are kept.")
    if cancelled:
        invocation.output.show(f"Cancelled {counted(cancelled, 'waiting job')}.")
