"""`run`: ReST^EM rounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from engine.settings.reading import load_settings
from seal_console.cli.command import SealCommand
from seal_console.cli.engine_call import call_engine
from seal_console.cli.invocation import pass_invocation
from seal_console.format import gain, percent, show_line, table
from store.errors import AlarmError, AllRefusedError, ExitCode
from store.version_tags import policy_tag

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seal_console.cli.invocation import Invocation


@click.command(
    "run",
    cls=SealCommand,
    short_help="Run ReST^EM rounds.",
    examples=("seal-console run --rounds 2", "seal-console run --rounds 1 --json >> nightly.jsonl"),
    exits=(ExitCode.NOTHING_TO_DO, ExitCode.ALL_REFUSED, ExitCode.LOCKED, ExitCode.ALARM),
)
@click.option("--rounds", type=click.IntRange(min=1), default=1, show_default=True, help="How many rounds to run.")
@pass_invocation
def run(invocation: Invocation, rounds: int) -> None:
    """Run ReST^EM rounds: write self-edits, train and examine them, keep what helped, train the policy.

    A round that was interrupted goes on first, without measuring anything twice. Where the settings accept
    automatically, the best candidate of each round goes live, unless an alarm stands.
    """
    workspace = invocation.workspace()
    load_settings(workspace.settings_file)
    result = call_engine(invocation, "run", {"workspace": str(workspace.root), "rounds": rounds})
    if invocation.output.as_json:
        invocation.output.data(result)
    else:
        _show(invocation, result)
    if result.get("alarming"):
        raise AlarmError(_alarming(result), next_step="seal-console alarms list shows what stands, alarms show ID why.")
    if result.get("all_refused"):
        raise AllRefusedError(
            "The gates refused every candidate.",
            next_step="seal-console review list --state refused shows them, review show ID the evidence.",
        )


def _show(invocation: Invocation, result: Mapping[str, Any]) -> None:
    headers = ("round", "candidates", "refused", "kept", "mean reward", "held out before", "after", "policy")
    rows = [_row(summary) for summary in result.get("rounds", ())]
    invocation.output.show(table(headers, rows, right=headers[:-1]))
    for summary in result.get("rounds", ()):
        if acceptance := summary.get("acceptance"):
            invocation.output.show(show_line(f"Round {summary.get('number', '?')}: {acceptance['said']}"))
    invocation.output.show("Next: seal-console review list")


def _alarming(result: Mapping[str, Any]) -> str:
    """Say which alarms were raised in which round, and that one kept a candidate from going live."""
    raised = [
        f"round {one.get('number')} raised {alarm['id']} “{alarm['name']}”"
        for one in result.get("rounds", ())
        for alarm in one.get("alarms") or ()
    ]
    withheld = any((one.get("acceptance") or {}).get("alarms") for one in result.get("rounds", ()))
    said = f"Alarms: {', '.join(raised)}." if raised else "An earlier alarm stands."
    return f"{said} Nothing was accepted automatically while it stood." if withheld else said


def _row(summary: Mapping[str, Any]) -> tuple[str, ...]:
    held_out = summary.get("held_out") or {}
    new_policy = summary.get("new_policy_version")
    return (
        str(summary.get("number", "?")),
        str(summary.get("candidates", "?")),
        str(summary.get("refused", "?")),
        str(len(summary.get("kept") or ())),
        gain(summary.get("mean_reward")),
        percent((held_out.get("before") or {}).get("accuracy")),
        percent((held_out.get("after") or {}).get("accuracy")),
        f"new: {policy_tag(new_policy)}" if new_policy else "unchanged",
    )
