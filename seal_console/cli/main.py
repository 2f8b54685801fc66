"""The command `seal-console`: its groups are in the modules beside this one, its failures in `diagnostics`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from seal_console.cli import bench, demo, evaluate, exporting, importing, info, init, model, review, run, tasks, verify
from seal_console.cli import versions as versions_group
from seal_console.cli.command import SealGroup
from seal_console.cli.diagnostics import run_guarded
from seal_console.cli.invocation import Invocation, pass_invocation
from seal_console.engine_process import WORKER_COMMAND
from seal_console.installation import program_version

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.group(
    "seal-console",
    cls=SealGroup,
    invoke_without_command=True,
    examples=(
        "seal-console demo",
        "seal-console init shop && cd shop",
        "seal-console tasks add && seal-console run --rounds 1",
        "seal-console review list",
    ),
)
@click.version_option(program_version(), prog_name="seal-console", message="%(prog)s %(version)s")
@pass_invocation
@click.pass_context
def cli(context: click.Context, invocation: Invocation) -> None:
    """Operate a self-adapting language model: run rounds, review its self-edits, accept versions, take them back.

    Without a command it shows the workspace that it finds.
    """
    if context.invoked_subcommand is None:
        info.show_start(invocation)


for _command in (
    demo.demo,
    init.init,
    tasks.tasks,
    run.run,
    review.review,
    versions_group.versions,
    evaluate.evaluate,
    importing.import_group,
    exporting.export_group,
    bench.bench,
    verify.verify_command,
    info.info,
    model.model,
):
    cli.add_command(_command)


def main(arguments: Sequence[str] | None = None, *, worker_command: Sequence[str] = WORKER_COMMAND) -> int:
    """Run the command line and return its exit code; `worker_command` starts the engine."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    invocation = Invocation(as_json="--json" in words, worker_command=tuple(worker_command))
    return run_guarded(
        invocation,
        lambda: cli.main(args=words, prog_name="seal-console", obj=invocation, standalone_mode=False),
    )
