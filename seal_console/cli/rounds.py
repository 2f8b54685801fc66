"""`rounds`: the rounds in a table, and giving up one that cannot be finished."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from seal_console.cli.command import SealGroup
from seal_console.cli.invocation import pass_invocation
from seal_console.cli.option_types import ONE_LINE
from seal_console.cli.workspace_session import open_to_change, open_to_show
from seal_console.engine_control import give_up_round
from seal_console.format import percent, show_line, table
from seal_console.queries.rounds import policy_outcome, round_lines
from store.errors import ExitCode
from store.events import head_as_json
from store.lock import current_user
from store.wording import counted

if TYPE_CHECKING:
    from seal_console.cli.invocation import Invocation
    from seal_console.queries.rounds import RoundLine


@click.group(
    "rounds",
    cls=SealGroup,
    short_help="List rounds, give up a round.",
    examples=("seal-console rounds list", 'seal-console rounds abandon 3 --reason "the settings could not work"'),
)
def rounds() -> None:
    """Rounds in figures. The next run resumes an interrupted round, with its own settings, until it is given up."""


@rounds.command(
    "list",
    short_help="List the rounds, newest first.",
    examples=("seal-console rounds list", "seal-console rounds list --json"),
)
@pass_invocation
def list_command(invocation: Invocation) -> None:
    """List the rounds, newest first, with the held-out accuracy before and after the policy was trained."""
    with open_to_show(invocation) as found:
        lines = round_lines(found.db)
    output = invocation.output
    if output.as_json:
        for line in lines:
            output.data({**asdict(line), "policy": policy_outcome(line)})
        return
    if not lines:
        output.show("No round has run yet.", "Next: seal-console run --rounds 1")
        return
    headers = ("round", "state", "tasks", "candidates", "kept", "held-out accuracy", "policy")
    output.show(table(headers, [_row(line) for line in lines], right=headers[2:5] + headers[:1], whole=headers[:2]))
    for line in lines:
        if line.racing is not None:
            output.show(f"Round {line.number} stopped early: {line.racing.said}.")
    output.show(f"{counted(len(lines), 'round')}. Candidates of one: seal-console review list --round N --state all")


def _row(line: RoundLine) -> tuple[str, ...]:
    held_out = "–"
    if line.held_out_before is not None:
        accuracies = f"{percent(line.held_out_before)} → {percent(line.held_out_after)}"
        held_out = f"{accuracies} ({counted(line.held_out_tasks, 'task')})"
    kept = "–" if line.kept is None else f"{line.kept:,}"
    return (
        str(line.number), line.state, f"{line.tasks:,}", f"{line.candidates:,}", kept, held_out, policy_outcome(line),
    )  # fmt: skip


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
    with open_to_change(invocation) as found:
        ended = give_up_round(found.workspace, found.db, number, who, reason)
        head = head_as_json(found.db)
    if invocation.output.as_json:
        result = {"round": ended.number, "state": ended.state, "actor": who, "reason": reason}
        invocation.output.data({**result, "log_head": head})
        return
    invocation.output.show(show_line(f"Round {number} is given up, by {who}: {reason}"))
    invocation.output.show("Next: seal-console run begins a new round with the settings in seal.yaml.")
