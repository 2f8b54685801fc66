"""`verify`: recomputes every hash, file and chain."""

from __future__ import annotations

import re
import sqlite3
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import click

from seal_console.cli.command import SealCommand
from seal_console.cli.invocation import pass_invocation
from seal_console.cli.workspace_session import WorkspaceSession, open_as_is, tidy
from seal_console.format import table
from store.database import open_to_read
from store.errors import CorruptError, ExitCode, LockedError, SealError, WrongUseError
from store.events import head_as_json
from store.expected_failures import expected_failure
from store.git_owner import ForeignOwnerError
from store.hashing import HASH_PREFIX
from store.log_head import LostLogError
from store.schema import SchemaError
from store.verify import Moment, VerifyReport, unvouched, verify, verify_without_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seal_console.cli.invocation import Invocation

_ATTEMPTS = 3
_PAUSE_S = 0.3


@click.command(
    "verify", cls=SealCommand, short_help="Verify every hash, file and chain.",
    examples=("seal-console verify", "seal-console -w shop verify --json"),
    exits=(ExitCode.LOCKED,),
)  # fmt: skip
@click.option(
    "--since", metavar="HASH",
    help="The end of the log as an earlier command printed it, kept elsewhere: notice if the log was cut or rewritten.",
)  # fmt: skip
@pass_invocation
def verify_command(invocation: Invocation, since: str | None) -> None:
    """Check that database, event chain, git and files match the records; exit 1 if they do not.

    Interrupted changes are finished first. Every mismatch is listed, in the order of the checks.
    """
    output = invocation.output
    since = None if since is None else _event_hash(since)
    head = None
    not_vouched: list[str] = []
    try:
        with _open(invocation) as (found, may_repair):
            problems, report = _check(invocation, found, since, may_repair=may_repair)
            head = head_as_json(found.db)
            not_vouched = unvouched(found.db, since)
    except CorruptError as error:
        report = verify_without_database(invocation.workspace())
        problems = [f"{error.message} {error.next_step}", *report.problems]
    if output.as_json:
        found_out = {"ok": not problems, "checked": report.checked, "problems": problems, "notes": report.notes}
        output.data({**found_out, "not_vouched_for": not_vouched, "log_head": head})
    else:
        output.show(
            table(("checked", "how many"), [(k, f"{n:,}") for k, n in report.checked.items()], right=("how many",))
        )
        if head is not None:
            output.show(f"The log ends with event {head['sequence']}: {head['hash']}")
        for note in report.notes:
            output.say(f"Note: {note}.")
        for sentence in not_vouched:
            output.say(f"Not vouched for: {sentence}")
    if problems:
        raise CorruptError(
            "The workspace does not match its records.",
            problems=problems,
            next_step=_next_step(invocation, problems),
        )
    output.say("Everything matches.")


@contextmanager
def _open(invocation: Invocation) -> Iterator[tuple[WorkspaceSession, bool]]:
    """Open the workspace; one whose schema was changed only to read, so that no foreign trigger can fire.

    The second value is whether interrupted changes may be finished.
    """
    with ExitStack() as stack:
        try:
            found = stack.enter_context(open_as_is(invocation, or_read=True))
        except SchemaError:
            workspace = invocation.workspace()
            db = open_to_read(workspace.database_file)
            stack.callback(db.conn.close)
            yield WorkspaceSession(workspace, db, read_only=True), False
        else:
            yield found, True


def _check(
    invocation: Invocation, found: WorkspaceSession, since: str | None, *, may_repair: bool
) -> tuple[list[str], VerifyReport]:
    """Check the workspace, and again if somebody was changing it meanwhile, for example with git checkout.

    Raises LockedError if somebody never stops to.
    """
    for _ in range(_ATTEMPTS):
        before = Moment.of(found.workspace, found.db)
        problems = _tidy(invocation, found) if may_repair else []
        report = verify(found.workspace, found.db, since=since)
        problems = list(dict.fromkeys([*problems, *report.problems]))
        if not problems or Moment.of(found.workspace, found.db) == before:
            return problems, report
        time.sleep(_PAUSE_S)
    raise LockedError(
        "Somebody is changing this workspace while it is checked, so what does not match may be half of a change.",
        problems=problems,
        next_step="Run verify again when they are done.",
    )


def _next_step(invocation: Invocation, problems: list[str]) -> str:
    if all(problem.startswith("working tree: ") for problem in problems):
        adapters = invocation.workspace().adapters_folder
        return f"git -C {adapters} reset --hard live puts back the files of the version; remove those that are not its."
    return "Do what the lines above say; restore what else they name from a backup."


def _event_hash(written: str) -> str:
    if re.fullmatch(r"(sha256:)?[0-9a-f]{64}", written) is None:
        raise WrongUseError(
            f"--since {written!r} is not the hash of an event: it has 64 hexadecimal digits.",
            next_step="seal-console verify prints the hash with which the log ends now.",
        )
    return HASH_PREFIX + written.removeprefix(HASH_PREFIX)


def _tidy(invocation: Invocation, found: WorkspaceSession) -> list[str]:
    """Finish what a crash interrupted; report what cannot be repaired like any other problem."""
    try:
        tidy(found, invocation.output)
    except (ForeignOwnerError, LostLogError):
        return []  # said by the check itself
    except (SealError, sqlite3.Error, OSError) as error:
        expected = expected_failure(error, found.workspace.database_file)
        if expected is None or expected.exit_code == ExitCode.LOCKED:
            raise
        return [expected.message]
    return []
