"""The engine as a process of its own: `python -m engine.jobs.worker OPERATION [PARAMETERS]`.

Parameters are one JSON object: the second argument, or the first line of stdin. Answers go to stdout as one JSON object
a line: any number of {"progress": …}, then one {"result": …} or {"error": …}. The exit status is that of
`store.errors.ExitCode`. When stdin closes, whoever asked is gone: the worker stops as on Ctrl+C or SIGTERM, and what
was measured stays. `jobs` is detached: it looks neither at stdin nor at whether somebody reads, and of its progress it
writes only the sentences.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from engine.jobs.operations import OPERATIONS
from engine.runtime.crash_report import write_report
from engine.runtime.tuning import keep_freed_memory, limit_openmp_spin
from store.errors import ExitCode, SealError, WrongUseError
from store.expected_failures import expected_failure
from store.workspace import Workspace

if TYPE_CHECKING:
    from engine.jobs.operations import Operation, Parameters
    from engine.runtime.progress import Progress

DETACHED = frozenset({"jobs"})
_MOST_ARGUMENTS = 2
_STOPPING = (signal.SIGINT, signal.SIGTERM)


def main(arguments: list[str]) -> int:
    """Run one operation; returns the exit status."""
    limit_openmp_spin()
    keep_freed_memory()
    detached = bool(arguments) and arguments[0] in DETACHED
    for number in _STOPPING:
        signal.signal(number, _interrupt_once if not detached else _interrupt_or_end)
    channel = _Channel(_take_stdout(), detached=detached)
    # Warnings of one library about another are of no use to the person who runs a command.
    warnings.filterwarnings("ignore", category=FutureWarning)
    parameters: Parameters = {}
    try:
        operation = _operation(arguments)
        parameters = _parameters(arguments)
        if not detached:
            threading.Thread(target=_stop_when_alone, daemon=True).start()
        result = operation(parameters, channel.progress)
    except SealError as error:
        channel.error(type(error).__name__, error.message, error.next_step, error.problems)
        return error.exit_code
    except (KeyboardInterrupt, BrokenPipeError):
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last resort: whoever waits gets a last word and a report
        known = parameters.get("workspace") or parameters.get("folder")
        if (expected := expected_failure(error, Workspace(Path(known)).database_file if known else None)) is not None:
            channel.error(type(expected).__name__, expected.message, expected.next_step, expected.problems)
            return expected.exit_code
        report = write_report("engine", Path(known) if known else None, error)
        message = f"the engine failed unexpectedly: {type(error).__name__}: {error}"
        channel.error("SealError", message, f"report: {report}", [])
        return ExitCode.FAILED
    channel.send({"result": result})
    return ExitCode.DONE


class _Channel:
    """Messages to the process that waits, one JSON object a line; a detached engine continues if nobody reads them."""

    def __init__(self, stream: IO[str], *, detached: bool) -> None:
        self._stream, self._detached = stream, detached

    def send(self, message: dict[str, Any]) -> None:
        try:
            self._stream.write(json.dumps(message, ensure_ascii=False) + "\n")
            self._stream.flush()
        except OSError:
            if not self._detached:
                raise
            _forget(self._stream)

    def progress(self, progress: Progress) -> None:
        if not self._detached or progress.note:
            self.send({"progress": {key: value for key, value in asdict(progress).items() if key != "details"}})

    def error(self, kind: str, message: str, next_step: str, problems: list[str]) -> None:
        self.send({"error": {"kind": kind, "message": message, "next_step": next_step, "problems": problems}})


def _interrupt_once(*_: object) -> None:
    """Interrupt, and let nothing interrupt the clean-up: Ctrl+C, SIGTERM and a closed stdin often come together."""
    for number in _STOPPING:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _interrupt_or_end(*_: object) -> None:
    """Interrupt a detached engine; nobody waits who could kill it, so a second SIGTERM ends it at once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise KeyboardInterrupt


def _operation(arguments: list[str]) -> Operation:
    if not 1 <= len(arguments) <= _MOST_ARGUMENTS or arguments[0] not in OPERATIONS:
        raise WrongUseError(f"the worker's operations are {', '.join(OPERATIONS)}")
    return OPERATIONS[arguments[0]]


def _parameters(arguments: list[str]) -> Parameters:
    text = arguments[1] if len(arguments) == _MOST_ARGUMENTS else sys.stdin.readline()
    parameters: Parameters = json.loads(text or "{}")
    return parameters


def _take_stdout() -> IO[str]:
    """Keep stdout for messages: whatever a library prints goes to stderr."""
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return channel


def _forget(stream: IO[str]) -> None:
    """Discard whatever is still written to a reader that has gone, including at Python's exit."""
    descriptor = os.open(os.devnull, os.O_WRONLY)
    os.dup2(descriptor, stream.fileno())
    os.close(descriptor)


def _stop_when_alone() -> None:
    while sys.stdin.readline():
        pass
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
