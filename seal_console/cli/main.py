"""The command `seal-console`: its groups are in the other modules of this package, failures in `diagnostics`.

A module is loaded when its command is called, so that opening the console does not wait for the others.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seal_console.cli.command import SealGroup
from seal_console.cli.console import on_a_terminal, open_console
from seal_console.cli.diagnostics import run_guarded
from seal_console.cli.encodings import show_what_can_be_shown
from seal_console.cli.invocation import Invocation, pass_invocation
from seal_console.cli.option_types import ONE_LINE
from seal_console.engine_process import WORKER_COMMAND

if TYPE_CHECKING:
    from collections.abc import Sequence


_COMMANDS = {
    "demo": "demo:demo",
    "init": "init:init",
    "tasks": "tasks:tasks",
    "run": "run:run",
    "stop": "run:stop",
    "rounds": "rounds:rounds",
    "review": "review:review",
    "alarms": "alarms:alarms",
    "versions": "versions:versions",
    "evaluate": "run:evaluate",
    "retention": "retention:retention",
    "guardrails": "guardrails:guardrails",
    "web": "console:web",
    "export": "exporting:export_group",
    "verify": "verify:verify_command",
    "info": "info:info",
    "model": "model:model",
    "lab": "lab.group:lab",
}
_MOVED = {"bench": "lab bench", "experiment": "lab experiment", "import": "lab import", "policy": "guardrails"}


class Program(SealGroup):
    """The outermost group, whose commands are loaded by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of their use."""
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command; None if there is none of this name."""
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        module, attribute = _COMMANDS[cmd_name].split(":")
        command: click.Command = getattr(import_module(f"seal_console.cli.{module}"), attribute)
        return command


@click.group(
    "seal-console",
    cls=Program,
    invoke_without_command=True,
    moved=_MOVED,
    examples=(
        "seal-console demo",
        "seal-console init shop && cd shop",
        "seal-console tasks add && seal-console run --rounds 1",
        "seal-console review list",
    ),
)
@click.option("--read-only", is_flag=True, help="Open the console read-only, e.g. on a wall display.")
@click.option(
    "--as",
    "actor",
    metavar="NAME",
    type=ONE_LINE,
    help="Who decides in the console (default: the user of this process).",
)
@click.option("--in-browser", is_flag=True, hidden=True, help="What `web` starts for each visitor.")
@click.version_option(package_name="seal-console", prog_name="seal-console", message="%(prog)s %(version)s")
@pass_invocation
@click.pass_context
def cli(context: click.Context, invocation: Invocation, read_only: bool, actor: str | None, in_browser: bool) -> None:
    """Operate a self-adapting language model: run rounds, review self-edits, accept versions, roll them back.

    Without a command it opens the console on the current workspace; without a terminal or a workspace, it shows the
    state of the installation.
    """
    if context.invoked_subcommand is not None:
        return
    workspace = invocation.workspace_if_any()
    if workspace is None or invocation.as_json or not on_a_terminal():
        from seal_console.cli.info import show_start  # noqa: PLC0415

        show_start(invocation)
    else:
        open_console(workspace, read_only=read_only, actor=actor, in_browser=in_browser)


def _open_closed_streams() -> None:
    """Give standard streams that the shell closed to the null device, before a file can get their numbers."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - open until the end


def main(arguments: Sequence[str] | None = None, *, worker_command: Sequence[str] = WORKER_COMMAND) -> int:
    """Run the command line and return its exit code; `worker_command` starts the engine."""
    _open_closed_streams()
    show_what_can_be_shown()
    words = list(sys.argv[1:] if arguments is None else arguments)
    invocation = Invocation(as_json="--json" in words, worker_command=tuple(worker_command))
    return run_guarded(
        invocation,
        lambda: cli.main(args=words, prog_name="seal-console", obj=invocation, standalone_mode=False),
    )
