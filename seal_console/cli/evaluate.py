"""`evaluate`: what the model knows, and what ways of teaching it reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from engine.settings.reading import load_settings
from seal_console.cli.choices import several_of
from seal_console.cli.command import SealCommand
from seal_console.cli.engine_call import call_engine
from seal_console.cli.invocation import pass_invocation
from seal_console.format import bar, percent, table
from store.errors import ExitCode

if TYPE_CHECKING:
    from seal_console.cli.invocation import Invocation

_WAYS = {"base": "as it stands", "passage": "trained on the bare passage", "policy": "trained on self-edits"}


@click.command(
    "evaluate",
    cls=SealCommand,
    short_help="Measure what the model knows.",
    examples=("seal-console evaluate", "seal-console evaluate --tasks all --ways base,policy --edits 2"),
    exits=(ExitCode.NOTHING_TO_DO, ExitCode.LOCKED),
)
@click.option(
    "--tasks", "which", type=click.Choice(["held-out", "all"]), default="held-out", show_default=True,
    help="The tasks that rounds keep out of policy training, or all.",
)  # fmt: skip
@click.option(
    "--ways", metavar=",".join(_WAYS), callback=several_of(tuple(_WAYS)), default=",".join(_WAYS), show_default=True,
    help="What to measure: the live model as it stands, after the bare passage, after self-edits of the policy.",
)  # fmt: skip
@click.option("--edits", type=click.IntRange(min=1), default=1, show_default=True, help="Self-edits for each task.")
@pass_invocation
def evaluate(invocation: Invocation, which: str, ways: tuple[str, ...], edits: int) -> None:
    """Measure the accuracy on the tasks' questions, without a passage in sight. Nothing is recorded."""
    workspace = invocation.workspace()
    load_settings(workspace.settings_file)
    parameters = {"workspace": str(workspace.root), "tasks": which, "ways": list(ways), "edits": edits}
    result = call_engine(invocation, "evaluate", parameters, next_step="seal-console evaluate begins again.")
    output = invocation.output
    if output.as_json:
        output.data(result)
        return
    accuracy = result["accuracy"]
    rows = [(way, _WAYS.get(way, ""), percent(accuracy[way]), bar(accuracy[way])) for way in accuracy]
    output.show(table(("way", "", "accuracy", ""), rows, right=("accuracy",)))
    output.show(f"{result['questions']} questions of {result['tasks']} tasks ({which}).")
