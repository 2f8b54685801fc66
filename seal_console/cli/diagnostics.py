"""Shows the failures of commands and turns them into exit codes, in one place."""

from __future__ import annotations

import sys
import traceback
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.runtime.crash_report import write_report
from seal_console.cli.command import MovedCommandError
from seal_console.cli.invocation import discard_stdout
from store.errors import ExitCode, SealError, WrongUseError
from store.expected_failures import expected_failure
from store.intents import UnrecordedChangeError
from store.sanitize import sanitize_line
from store.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from seal_console.cli.invocation import Invocation


_MOST_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A failure for display: what happened, each problem on its own line, and what to try."""

    kind: str
    message: str
    next_step: str = ""
    problems: list[str] = field(default_factory=list)
    exit_code: int = ExitCode.FAILED


def run_guarded(invocation: Invocation, body: Callable[[], object]) -> int:
    """Run a command, show its failure if there is one, and return its exit code.

    If a command has done what it is for, whatever fails after that is only a warning, such as output that cannot be
    written.
    """
    exit_code = int(ExitCode.DONE)
    try:
        body()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last resort: no traceback may reach the user
        if isinstance(error, OSError) and _is_of_stdout(error):
            invocation.output.failures.append(error)
        else:
            diagnosis = diagnose(invocation, error)
            if _came_after_the_act(invocation, error):
                diagnosis = replace(diagnosis, message=_after_the_act(error, diagnosis), exit_code=int(ExitCode.DONE))
            _show(invocation, diagnosis)
            exit_code = diagnosis.exit_code
    with invocation.output.giving_up():
        sys.stdout.flush()
    return _after_output(invocation, exit_code)


def _came_after_the_act(invocation: Invocation, error: BaseException) -> bool:
    """Whether the command has done what it is for, and only something that followed went wrong."""
    if isinstance(error, UnrecordedChangeError):
        return invocation.has_acted
    return invocation.has_acted and not isinstance(error, (SealError, KeyboardInterrupt, click.ClickException))


def _after_the_act(error: BaseException, diagnosis: Diagnosis) -> str:
    if isinstance(error, UnrecordedChangeError):
        return f"Done, but not everywhere: {diagnosis.message}"
    return f"Done; something failed afterwards: {type(error).__name__}: {error}"


def _is_of_stdout(error: OSError) -> bool:
    """Whether an error comes from click's own output, such as a help text; `Output` notes errors of its own."""
    return traceback.extract_tb(error.__traceback__)[-1].name == click.echo.__name__


def _after_output(invocation: Invocation, exit_code: int) -> int:
    """Say that the output could not be written; a reader such as `head` gets no warning if it closed after reading all
    that it wanted.
    """
    failures = invocation.output.failures
    if not failures:
        return exit_code
    discard_stdout()
    reason = failures[0].strerror or str(failures[0])
    if invocation.has_acted or exit_code != ExitCode.DONE:
        if invocation.has_acted:
            said = f"Warning: the command did what it should, but its output could not be written: {reason}."
            invocation.output.narrate(said, "yellow")
        return exit_code
    if not isinstance(failures[0], BrokenPipeError):
        invocation.output.narrate(f"The output could not be written: {reason}.", "bold red")
        invocation.output.narrate("Try: write it to another file or disk.")
    return int(ExitCode.FAILED)


def diagnose(invocation: Invocation, error: BaseException) -> Diagnosis:
    """Return how a failure is to be shown; an unexpected one is written to a report first."""
    if isinstance(error, SealError):
        kind = type(error).__name__
        return Diagnosis(
            kind,
            error.message,
            error.next_step,
            [sanitize_line(problem) for problem in error.problems],
            int(error.exit_code),
        )
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return Diagnosis("Interrupted", "Interrupted.", exit_code=int(ExitCode.INTERRUPTED))
    if isinstance(error, click.ClickException):
        path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "seal-console"
        next_step = error.line if isinstance(error, MovedCommandError) else f"{path} --help"
        message = error.format_message().replace("is not a valid integer range", "is not a whole number")
        return Diagnosis("UsageError", message, next_step, exit_code=int(ExitCode.WRONG_USE))
    if isinstance(error, FileNotFoundError) and not _has_current_folder():
        return diagnose(
            invocation, WrongUseError("The current folder no longer exists.", next_step="cd to another folder")
        )
    workspace = _workspace_folder(invocation)
    expected = expected_failure(error, None if workspace is None else Workspace(workspace).database_file)
    if expected is not None:
        return diagnose(invocation, expected)
    report = write_report("cli", workspace, error)
    return Diagnosis(
        "UnexpectedError",
        f"Unexpected error: {type(error).__name__}: {error}",
        f"The report is in {report}; attach it to an issue. Stored data is safe.",
    )


def _has_current_folder() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


def _workspace_folder(invocation: Invocation) -> Path | None:
    try:
        workspace = invocation.workspace_if_any()
    except (SealError, OSError):
        return None
    return None if workspace is None else workspace.root


def _show(invocation: Invocation, diagnosis: Diagnosis) -> None:
    output = invocation.output
    is_done = diagnosis.exit_code == ExitCode.DONE
    if invocation.as_json:
        shown = asdict(diagnosis)
        about = {key: shown[key] for key in ("kind", "message", "next_step", "problems")}
        output.data({"warning" if is_done else "error": about})
    output.narrate(diagnosis.message, "yellow" if is_done else "bold red")
    for problem in diagnosis.problems[:_MOST_PROBLEMS]:
        output.narrate(f"  • {problem}")
    if len(diagnosis.problems) > _MOST_PROBLEMS:
        output.narrate(f"  and {len(diagnosis.problems) - _MOST_PROBLEMS:,} more; --json lists all")
    if diagnosis.next_step:
        output.narrate(f"Try: {diagnosis.next_step}")
