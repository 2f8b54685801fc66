"""One call of the command line: its common options and its output. stdout is for data, stderr for narration; with
--json, stdout has JSON objects instead of tables.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.text import Text

from seal_console.engine_process import WORKER_COMMAND
from seal_console.format import show_text
from store.sanitize import json_line
from store.workspace import Workspace, find_workspace, workspace_if_any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TextIO

    from rich.console import RenderableType


_WIDTH_WITHOUT_TERMINAL = 160


@dataclass(frozen=True)
class Output:
    """Both streams of a command. Plain strings are sanitized; nothing is parsed as markup.

    A stream that cannot be written to is given up, not raised: what the command does must not depend on its reader.
    `failures` has what went wrong with stdout.
    """

    as_json: bool
    out: Console
    err: Console
    failures: list[OSError] = field(default_factory=list)

    @classmethod
    def to_terminal(cls, *, as_json: bool) -> Output:
        """Write to this process's stdout and stderr."""
        return cls(as_json, _console(sys.stdout), _console(sys.stderr))

    def data(self, value: Any) -> None:
        """Write one JSON object on stdout."""
        ascii_only = (sys.stdout.encoding or "ascii").lower().replace("-", "") != "utf8"
        with self.giving_up():
            self.out.file.write(json_line(value, ascii_only=ascii_only) + "\n")
            self.out.file.flush()

    def show(self, *parts: RenderableType) -> None:
        """Show text, tables and the like on stdout; not to be called for JSON output."""
        with self.giving_up():
            for part in parts:
                shown = show_text(part) if isinstance(part, str) else part
                self.out.print(shown, soft_wrap=isinstance(part, (str, Text)))
            self.out.file.flush()

    def say(self, sentence: str, style: str = "") -> None:
        """Report what was done: on stdout, or on stderr if stdout is for JSON."""
        if self.as_json:
            self.narrate(sentence, style)
        else:
            with self.giving_up():
                self.out.print(show_text(sentence, style), soft_wrap=True)
                self.out.file.flush()

    def narrate(self, sentence: str, style: str = "") -> None:
        """Write a note to stderr."""
        with suppress(OSError):
            self.err.print(show_text(sentence, style), soft_wrap=True)

    @contextmanager
    def giving_up(self) -> Iterator[None]:
        """Note an error of stdout, and discard whatever is still written to it."""
        try:
            yield
        except OSError as error:
            self.failures.append(error)
            discard_stdout()


def discard_stdout() -> None:
    """Let nothing more be written to a stdout that fails or whose reader has gone, also not when Python ends."""
    with suppress(OSError, ValueError):
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, sys.stdout.fileno())
        os.close(descriptor)


class _RaisingConsole(Console):
    """A console that raises if its reader has gone, as for any other error of a stream; rich would end the process."""

    def on_broken_pipe(self) -> None:
        """Raise the error that is being handled."""
        raise  # noqa: PLE0704 - rich calls this while it handles BrokenPipeError


def _console(stream: TextIO) -> Console:
    width = None if stream.isatty() or os.environ.get("COLUMNS") else _WIDTH_WITHOUT_TERMINAL
    return _RaisingConsole(file=stream, markup=False, highlight=False, emoji=False, width=width)


@dataclass
class Invocation:
    """The common options of a call; `worker_command` starts the engine."""

    as_json: bool = False
    workspace_folder: Path | None = None
    worker_command: Sequence[str] = field(default=WORKER_COMMAND)
    has_acted: bool = False
    """Whether the command has done what it is for, apart from what it says about it."""

    @cached_property
    def output(self) -> Output:
        """The output; available once all options are read."""
        return Output.to_terminal(as_json=self.as_json)

    def workspace(self) -> Workspace:
        """Return the workspace of this call. Raises WrongUseError if there is none."""
        return find_workspace(self.workspace_folder, os.environ, Path.cwd())

    def workspace_if_any(self) -> Workspace | None:
        """Return the workspace, or None if none was named and none is found.

        Raises WrongUseError for a wrong name, and for a workspace of an older release.
        """
        return workspace_if_any(self.workspace_folder, os.environ, Path.cwd())


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
            help="The workspace (default: SEAL_WORKSPACE, else the nearest folder upwards with a seal.yaml).",
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
