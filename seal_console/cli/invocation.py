"""One call of the command line: what its common options say, and where its output goes."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seal_console.cli.output import Output
from seal_console.engine_process import WORKER_COMMAND
from store.errors import WrongUseError
from store.workspace import Workspace, find_workspace

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass
class Invocation:
    """What a command is called with beside its own arguments; `worker_command` starts the engine."""

    as_json: bool = False
    workspace_folder: Path | None = None
    worker_command: Sequence[str] = field(default=WORKER_COMMAND)

    @cached_property
    def output(self) -> Output:
        """The output; asked for only when all options are read."""
        return Output.to_terminal(as_json=self.as_json)

    def workspace(self) -> Workspace:
        """Return the workspace that this call is about. Raises WrongUseError where there is none."""
        return find_workspace(self.workspace_folder, os.environ, Path.cwd())

    def workspace_if_any(self) -> Workspace | None:
        """Return the workspace, None where none was named and none is found. Raises WrongUseError for a wrong name."""
        try:
            return self.workspace()
        except WrongUseError:
            if self.workspace_folder is not None or os.environ.get("SEAL_WORKSPACE"):
                raise
            return None


pass_invocation = click.make_pass_decorator(Invocation)


def common_options() -> list[click.Parameter]:
    """Return the options that every command has, before the subcommand's name and after it."""
    return [
        click.Option(
            ["-w", "--workspace"],
            type=click.Path(path_type=Path),
            metavar="DIR",
            expose_value=False,
            callback=_note_workspace,
            help="The workspace; else SEAL_WORKSPACE, else the nearest folder upwards with a seal.yaml.",
        ),
        click.Option(
            ["--json"],
            is_flag=True,
            expose_value=False,
            callback=_note_json,
            help="Write JSON objects to stdout, one a line; everything else goes to stderr.",
        ),
    ]


def _note_workspace(context: click.Context, _: click.Parameter, value: Path | None) -> None:
    if value is not None:
        _invocation(context).workspace_folder = value


def _note_json(context: click.Context, _: click.Parameter, value: Any) -> None:
    if value:
        _invocation(context).as_json = True


def _invocation(context: click.Context) -> Invocation:
    return context.ensure_object(Invocation)
