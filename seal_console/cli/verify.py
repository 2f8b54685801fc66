"""`verify`: recomputes every hash, file and chain."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import click

from seal_console.cli.command import SealCommand
from seal_console.cli.invocation import pass_invocation
from seal_console.cli.workspace_session import open_as_is, tidy
from seal_console.format import table
from store.errors import CorruptError, ExitCode, SealError
from store.expected_failures import expected_failure
from store.verify import verify, verify_without_database

if TYPE_CHECKING:
    from seal_console.cli.invocation import Invocation
    from seal_console.cli.workspace_session import WorkspaceSession


@click.command(
    "verify", cls=SealCommand, short_help="Verify every hash, file and chain.",
    examples=("seal-console verify", "seal-console -w shop verify --json"),
    exits=(ExitCode.LOCKED,),
)  # fmt: skip
@pass_invocation
def verify_command(invocation: Invocation) -> None:
    """Check that database, event chain, git and files match the records; exit 1 if they do not.

    Interrupted changes are finished first. Every mismatch is listed, in the order of the checks.
    """
    output = invocation.output
    problems: list[str] = []
    try:
        with open_as_is(invocation) as found:
            problems += _tidy(invocation, found)
            report = verify(found.workspace, found.db)
    except CorruptError as error:
        problems.append(f"{error.message} {error.next_step}")
        report = verify_without_database(invocation.workspace())
    problems += report.problems
    if output.as_json:
        output.data({"ok": not problems, "checked": report.checked, "problems": problems})
    else:
        output.show(
            table(("checked", "how many"), [(k, f"{n:,}") for k, n in report.checked.items()], right=("how many",))
        )
    if problems:
        raise CorruptError(
            "The workspace does not match its records.",
            problems=problems,
            next_step="Restore the named parts from a backup.",
        )
    output.say("Everything matches.")


def _tidy(invocation: Invocation, found: WorkspaceSession) -> list[str]:
    """Finish what a crash interrupted; report what cannot be repaired like any other problem."""
    try:
        tidy(found, invocation.output)
    except (SealError, sqlite3.Error, OSError) as error:
        expected = expected_failure(error, found.workspace.database_file)
        if expected is None or expected.exit_code == ExitCode.LOCKED:
            raise
        return [expected.message]
    return []
