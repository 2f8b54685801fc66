"""`run`: ReST^EM rounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from engine.settings.reading import load_settings
from engine.trackers.summary import racing_of
from seal_console.cli.command import SealCommand, several_of
from seal_console.cli.engine_call import call_engine
from seal_console.cli.invocation import pass_invocation
from seal_console.cli.option_types import MINUTES, TIME_OF_DAY
from seal_console.cli.workspace_session import open_as_is, open_to_change
from seal_console.engine_control import stop_engine
from seal_console.format import bar, gain, percent, show_line, table
from seal_console.queries.guards import guards_off_in
from store.clock import now_s
from store.errors import AlarmError, AllRefusedError, ExitCode, NothingToDoError, TimeUpError
from store.lock import current_user, lock_owner
from store.review_queue import count_waiting
from store.version_tags import policy_tag
from store.wording import counted
from store.workspace import require_writable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seal_console.cli.invocation import Invocation


@click.command(
    "run",
    cls=SealCommand,
    short_help="Run ReST^EM rounds.",
    examples=(
        "seal-console run --rounds 2",
        "seal-console run --until 06:00",
        "seal-console run --rounds 1 --json >> nightly.jsonl",
    ),
    exits=(ExitCode.NOTHING_TO_DO, ExitCode.ALL_REFUSED, ExitCode.LOCKED, ExitCode.ALARM, ExitCode.TIME_UP),
)
@click.option("--rounds", type=click.IntRange(min=1), default=1, show_default=True, help="How many rounds to run.")
@click.option(
    "--until", metavar="HH:MM", type=TIME_OF_DAY,
    help="End at this local time at the latest, today or tomorrow; the next run resumes the round.",
)  # fmt: skip
@click.option(
    "--max-minutes", metavar="N", type=MINUTES,
    help="End after this many minutes at the latest; the next run resumes the round.",
)  # fmt: skip
@pass_invocation
def run(invocation: Invocation, rounds: int, until: float | None, max_minutes: float | None) -> None:
    """Run ReST^EM rounds: write self-edits, train and evaluate them, keep what helped, train the policy.

    An interrupted round is resumed first; completed measurements are not repeated. If the settings accept
    automatically, the best candidate of each round goes live, unless an alarm is active.

    When the time of --until or --max-minutes is up, no new inner update begins, and those under way are dropped. What
    has finished is evaluated and in the review queue; the round is interrupted.
    """
    if until is not None and max_minutes is not None:
        raise click.UsageError("--until and --max-minutes exclude each other: give one of them.")
    if max_minutes is not None:
        until = now_s() + max_minutes * 60
    workspace = invocation.workspace()
    load_settings(workspace.settings_file)
    require_writable(workspace)
    with open_as_is(invocation) as found:
        for guard in guards_off_in(workspace, found.db):
            invocation.output.narrate(f"Off: {guard}", "yellow")
    limits = {} if until is None else {"until": until}
    result = call_engine(invocation, "run", {"workspace": str(workspace.root), "rounds": rounds, **limits})
    if invocation.output.as_json:
        invocation.output.data(result)
    else:
        _show(invocation, result)
    if result.get("alarming"):
        raise AlarmError(
            _alarming(result), next_step="seal-console alarms list lists active alarms; alarms show ID explains one."
        )
    if result.get("all_refused"):
        raise AllRefusedError(
            "The gates refused every candidate.",
            next_step="seal-console review list --state refused lists them; review show ID shows the evidence.",
        )
    if time_up := result.get("time_up"):
        raise TimeUpError(time_up["said"], next_step="seal-console review list lists what waits for a decision.")


def _show(invocation: Invocation, result: Mapping[str, Any]) -> None:
    headers = ("round", "candidates", "refused", "kept", "mean reward", "held out before", "after", "policy")
    rows = [_row(summary) for summary in result.get("rounds", ())]
    if rows or not result.get("time_up"):
        invocation.output.show(table(headers, rows, right=headers[:-1]))
    for summary in result.get("rounds", ()):
        if racing := racing_of(summary):
            invocation.output.show(f"Round {summary.get('number', '?')} stopped early: {racing.said}.")
        if acceptance := summary.get("acceptance"):
            invocation.output.show(show_line(f"Round {summary.get('number', '?')}: {acceptance['said']}"))
    with open_as_is(invocation) as found:
        waiting = count_waiting(found.db)
    if waiting:
        invocation.output.show("Next: seal-console review list")


def _alarming(result: Mapping[str, Any]) -> str:
    """Name the alarms and their rounds, and whether one kept a candidate from going live."""
    raised = [
        f"round {one.get('number')} raised {alarm['id']} “{alarm['name']}”"
        for one in result.get("rounds", ())
        for alarm in one.get("alarms") or ()
    ]
    withheld = any((one.get("acceptance") or {}).get("alarms") for one in result.get("rounds", ()))
    sentence = f"Alarms: {', '.join(raised)}." if raised else "An earlier alarm is active."
    return f"{sentence} Nothing was accepted automatically because of it." if withheld else sentence


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


_METHODS = {"base": "unchanged", "context": "trained on the bare context", "policy": "trained on self-edits"}


@click.command(
    "evaluate",
    cls=SealCommand,
    short_help="Measure what the model knows.",
    examples=("seal-console evaluate", "seal-console evaluate --tasks all --methods base,policy --edits 2"),
    exits=(ExitCode.NOTHING_TO_DO, ExitCode.LOCKED),
)
@click.option(
    "--tasks", "which", type=click.Choice(["held-out", "all"]), default="held-out", show_default=True,
    help="The tasks that rounds keep out of policy training, or all.",
)  # fmt: skip
@click.option(
    "--methods", metavar=",".join(_METHODS), callback=several_of(tuple(_METHODS)), default=",".join(_METHODS),
    show_default=True,
    help="What to measure: the live model unchanged, after the bare context, after self-edits of the policy.",
)  # fmt: skip
@click.option("--edits", type=click.IntRange(min=1), default=1, show_default=True, help="Self-edits for each task.")
@pass_invocation
def evaluate(invocation: Invocation, which: str, methods: tuple[str, ...], edits: int) -> None:
    """Measure the accuracy on the tasks' questions, without showing the context. Nothing is recorded."""
    workspace = invocation.workspace()
    load_settings(workspace.settings_file)
    parameters = {"workspace": str(workspace.root), "tasks": which, "methods": list(methods), "edits": edits}
    result = call_engine(
        invocation, "evaluate", parameters, records=False, next_step="seal-console evaluate starts again."
    )
    output = invocation.output
    if output.as_json:
        output.data(result)
        return
    accuracy = result["accuracy"]
    rows = [(method, _METHODS.get(method, ""), percent(accuracy[method]), bar(accuracy[method])) for method in accuracy]
    output.show(table(("method", "", "accuracy", ""), rows, right=("accuracy",)))
    output.show(f"{counted(result['questions'], 'question')} of {counted(result['tasks'], 'task')} ({which}).")


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
