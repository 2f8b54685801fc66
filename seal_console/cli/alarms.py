"""`alarms`: list, show, clear."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from seal_console.cli.command import SealGroup
from seal_console.cli.invocation import pass_invocation
from seal_console.cli.option_types import ONE_LINE
from seal_console.cli.workspace_session import open_to_change, open_to_show
from seal_console.format import facts, show_line, table
from seal_console.render_alarm import MEANINGS, render_alarm
from store.alarms import clear_alarms, clearings, find_alarms, list_alarms
from store.errors import ExitCode
from store.lock import current_user
from store.wording import counted

if TYPE_CHECKING:
    from seal_console.cli.invocation import Invocation
    from store.alarms import Alarm, AlarmClearing

_ALARM = click.argument("wanted", metavar="NAME_OR_ID")


@click.group(
    "alarms",
    cls=SealGroup,
    short_help="List, show and clear alarms.",
    examples=("seal-console alarms list", "seal-console alarms show 3"),
)
def alarms() -> None:
    """Signs in the figures of rounds that training on the model's own texts is going wrong.

    An alarm is active until a person clears it. Nothing is accepted automatically while one is active.
    """


@alarms.command(
    "list",
    short_help="List the active alarms, oldest first.",
    examples=("seal-console alarms list", "seal-console alarms list --all --json"),
)
@click.option("--all", "every", is_flag=True, help="Include cleared alarms.")
@pass_invocation
def list_command(invocation: Invocation, every: bool) -> None:
    """List the active alarms, oldest first."""
    with open_to_show(invocation) as found:
        done = clearings(found.db)
        listed = [alarm for alarm in list_alarms(found.db) if every or alarm.id not in done]
    output = invocation.output
    if output.as_json:
        for alarm in listed:
            output.data(_as_json(alarm, done.get(alarm.id)))
        return
    if not listed:
        output.show("No alarms." if every else "No active alarms.")
        return
    headers = ("id", "alarm", "round", "raised", "state")
    rows = [_row(alarm, done.get(alarm.id)) for alarm in listed]
    output.show(table(headers, rows, right=("id", "round"), whole=("id", "round", "alarm")))
    output.show(f"{counted(len(listed), 'alarm')}. Next: seal-console alarms show ID")


@alarms.command(
    "show",
    short_help="Show an alarm with its figures and examples.",
    examples=("seal-console alarms show 3", 'seal-console alarms show "echo" --json'),
)
@_ALARM
@pass_invocation
def show(invocation: Invocation, wanted: str) -> None:
    """Show one alarm, or all alarms of a name: the figures of both rounds, the limits, and examples."""
    with open_to_show(invocation) as found:
        done = clearings(found.db)
        named = find_alarms(found.db, wanted)
    for alarm in named:
        if invocation.output.as_json:
            invocation.output.data(_as_json(alarm, done.get(alarm.id)))
        else:
            _show_one(invocation, alarm, done.get(alarm.id))


@alarms.command(
    "clear",
    short_help="Clear an alarm, or all active alarms of a name.",
    examples=(
        'seal-console alarms clear 3 --reason "the new documents are lists of prices"',
        'seal-console alarms clear "self-edits alike" --reason "meant: one format" --as ada',
    ),
    exits=(ExitCode.NOTHING_TO_DO, ExitCode.LOCKED),
)
@_ALARM
@click.option("--reason", required=True, metavar="TEXT", type=ONE_LINE, help="The reason, kept with the alarm.")
@click.option(
    "--as", "actor", metavar="ACTOR", type=ONE_LINE, help="Who clears it (default: the user of this process)."
)
@pass_invocation
def clear(invocation: Invocation, wanted: str, reason: str, actor: str | None) -> None:
    """Clear an alarm, or all active alarms of a name. Later rounds are compared with that round and those after it."""
    who = current_user() if actor is None else actor
    with open_to_change(invocation) as found:
        cleared = clear_alarms(found.db, wanted, who, reason)
        done = clearings(found.db)
    for alarm in cleared:
        if invocation.output.as_json:
            invocation.output.data(_as_json(alarm, done[alarm.id]))
        else:
            invocation.output.show(
                show_line(f"Alarm {alarm.id} “{alarm.name}” of round {alarm.round_number} is cleared, by {who}.")
            )


def _as_json(alarm: Alarm, clearing: AlarmClearing | None) -> dict[str, Any]:
    return {
        **asdict(alarm),
        "active": clearing is None,
        "cleared": None if clearing is None else asdict(clearing),
        "words": render_alarm(alarm.name, alarm.evidence),
    }


def _state(clearing: AlarmClearing | None) -> str:
    return "! active" if clearing is None else f"✓ cleared by {clearing.actor}: {clearing.reason}"


def _row(alarm: Alarm, clearing: AlarmClearing | None) -> tuple[Any, ...]:
    raised = alarm.raised_at.replace("T", " ")[:19]
    return str(alarm.id), alarm.name, str(alarm.round_number), raised, show_line(_state(clearing), limit=60)


def _show_one(invocation: Invocation, alarm: Alarm, clearing: AlarmClearing | None) -> None:
    output = invocation.output
    output.show(show_line(f"Alarm {alarm.id}: {alarm.name}", "bold"))
    output.show(show_line(MEANINGS.get(alarm.name, "")))
    raised = alarm.raised_at.replace("T", " ")[:19]
    output.show(facts([("round", str(alarm.round_number)), ("raised", f"{raised} UTC"), ("state", _state(clearing))]))
    for line in render_alarm(alarm.name, alarm.evidence):
        output.show(show_line(f"  {line}"))
    if clearing is None:
        output.show(f'Next: seal-console alarms clear {alarm.id} --reason "…"')
