"""`rounds`: giving up a round that cannot be finished."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from seal_console.cli.command import SealGroup
from seal_console.cli.invocation import pass_invocation
from seal_console.cli.option_types import ONE_LINE
from seal_console.cli.workspace_session import open_to_change
from seal_console.format import show_line
from store.durable import remove
from store.errors import ExitCode
from store.lock import current_user, hold_lock
from store.rounds import abandon_round

if TYPE_CHECKING:
    from seal_console.cli.invocation import Invocation


@click.group(
    "rounds",
    cls=SealGroup,
    short_help="Give up a round.",
    examples=('seal-console rounds abandon 3 --reason "the settings could not work"',),
)
def rounds() -> None:
    """The next run resumes an interrupted round, with the settings that it began with, until the round is given up."""


@rounds.command(
    "abandon",
    short_help="Give up an unfinished round.",
    examples=('seal-console rounds abandon 3 --reason "the settings could not work" --as ada',),
    exits=(ExitCode.LOCKED,),
)
@click.argument("number", metavar="ROUND", type=click.IntRange(min=1))
@click.option("--reason", required=True, metavar="TEXT", type=ONE_LINE, help="The reason, kept with the round.")
@click.option(
    "--as", "actor", metavar="NAME", type=ONE_LINE, help="Who gives it up (default: the user of this process)."
)
@pass_invocation
def abandon(invocation: Invocation, number: int, reason: str, actor: str | None) -> None:
    """Give up an unfinished round: it ends as failed, and the next run begins a new round with the current settings.

    Candidates that were evaluated can still be decided on; those that were not stay as proposed and are not evaluated.
    """
    who = current_user() if actor is None else actor
    with open_to_change(invocation) as found, hold_lock(found.workspace.lock_file, "rounds abandon"):
        ended = abandon_round(found.db, number, who, reason)
        policy = found.workspace.candidate_policy_folder(number)
        if policy.is_dir():
            remove(policy)
    if invocation.output.as_json:
        invocation.output.data({"round": ended.number, "state": ended.state, "actor": who, "reason": reason})
        return
    invocation.output.show(show_line(f"Round {number} is given up, by {who}: {reason}"))
    invocation.output.show("Next: seal-console run begins a new round with the settings in seal.yaml.")
