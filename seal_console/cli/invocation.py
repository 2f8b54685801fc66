"""One call of the command line: its common options and its output. stdout is for data, stderr for narration; with
--json, stdout has JSON objects instead of tables.
"""

from __future__ import annotations

import os
import stat
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
from store.errors import WrongUseError
from store.sanitize import json_line, sanitize_line
from store.workspace import ENVIRONMENT_VARIABLE, Workspace, find_workspace, workspace_if_any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TextIO

    from rich.console import RenderableType


_WIDTH_WITHOUT_TERMINAL = 160
_LONGEST_NAME = 100


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
        start = self._start()
        return find_workspace(self.workspace_folder, os.environ, start)

    def workspace_if_any(self) -> Workspace | None:
        """Return the workspace, or None if none was named and none is found.

        Raises WrongUseError for a wrong name, and for a workspace of an older release.
        """
        start = self._start()
        return workspace_if_any(self.workspace_folder, os.environ, start)

    def _start(self) -> Path:
        """Return the folder from which the workspace is looked for.

        Raises WrongUseError if the name of the workspace cannot be that of a folder, or if it needs the current folder
        and that no longer exists.
        """
        variable = os.environ.get(ENVIRONMENT_VARIABLE)
        named = self.workspace_folder or (Path(variable) if variable else None)
        source = "-w" if self.workspace_folder else ENVIRONMENT_VARIABLE
        if named is not None and (problem := _problem_of_folder(named)):
            raise WrongUseError(
                f"{source} names no workspace: {sanitize_line(str(named), limit=_LONGEST_NAME)} {problem}.",
                next_step="Name the folder of one.",
            )
        try:
            return Path.cwd()
        except FileNotFoundError:
            if named is not None and named.is_absolute():
                return Path("/")
            raise


def _problem_of_folder(path: Path) -> str:
    """Return why a path cannot be that of a folder; "" if it can, or is none yet."""
    try:
        return "is a file, not a folder" if stat.S_ISREG(path.stat().st_mode) else ""
    except (FileNotFoundError, PermissionError):
        return ""
    except OSError as error:
        return f"cannot be opened: {error.strerror or error}"
    except ValueError:
        return "is not the name of a folder"


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
