"""`lab import`: published runs of others."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.lab.published_runs.import_run import import_published_run
from seal_console.cli.command import SealGroup
from seal_console.cli.invocation import pass_invocation
from seal_console.cli.workspace_session import open_to_change
from seal_console.format import facts, gain
from store.errors import ExitCode

if TYPE_CHECKING:
    from seal_console.cli.invocation import Invocation

_SHOWN_DIFFERENCES = 20


@click.group(
    "import",
    cls=SealGroup,
    short_help="Import published runs.",
    examples=("seal-console lab import seal rank_iter0.json",),
)
def import_group() -> None:
    """Bring published runs into the workspace, marked as imported."""


@import_group.command(
    "seal",
    short_help="Import a published SEAL run as a round of its own.",
    examples=("seal-console lab import seal rank_iter0.json", "seal-console lab import seal eval_iter2.json --json"),
    exits=(ExitCode.NOTHING_TO_DO, ExitCode.LOCKED),
)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@pass_invocation
def seal(invocation: Invocation, file: Path) -> None:
    """Import a published SEAL run (rank_iter*.json or eval_iter*.json): tasks, candidates, answers and rewards.

    Its figures are computed again from its own verdicts, and each one that differs is named.
    """
    with open_to_change(invocation) as found:
        imported = import_published_run(found.db, file)
    output = invocation.output
    if output.as_json:
        output.data(asdict(imported))
        return
    stated_gain = "nothing" if imported.said_mean_gain is None else gain(imported.said_mean_gain)
    output.show(
        f"Imported {file} as round {imported.round_number}.",
        facts(
            [
                ("tasks", f"{imported.tasks:,}"),
                ("candidates", f"{imported.candidates:,}"),
                ("graded answers", f"{imported.graded_answers:,}"),
                ("mean gain", f"{gain(imported.mean_gain)} recomputed; the file says {stated_gain}"),
                ("figures that differ", str(len(imported.differences)) if imported.differences else "none"),
            ]
        ),
    )
    for difference in imported.differences[:_SHOWN_DIFFERENCES]:
        output.show(f"  • {difference}")
    output.show(f"Next: seal-console review list --imported --round {imported.round_number}")
