"""Runs one operation of the engine in a child process and yields its messages as typed values.

The child is `python -m engine.jobs.worker OPERATION`; its parameters are one line of JSON on stdin, which stays open:
when this process ends, the child reads the end of stdin and stops. Ctrl+C reaches the child through the terminal; here
it is only counted, so that the child can end by itself; the second one kills it. SIGTERM does the same, passed on.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Self

from engine.runtime.child_environment import child_environment
from engine.runtime.progress import Progress
from store import errors
from store.errors import ExitCode, SealError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from types import FrameType, TracebackType

WORKER_COMMAND = (sys.executable, "-m", "engine.jobs.worker")
GOES_ON = "seal-console run resumes it."
_STDIN_STAYS_OPEN_S = 10.0
_END_WITHIN_S = 10.0
_LAST_WORDS_WITHIN_S = 1.0


class EngineInterruptedError(SealError):
    """The operation was interrupted by the operator."""

    exit_code = ExitCode.INTERRUPTED


@dataclass(frozen=True, slots=True)
class Result:
    """The last word of an operation that succeeded."""

    value: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Failure:
    """The last word of an operation that failed."""

    said: Mapping[str, Any]


def run_operation(
    operation: str,
    parameters: Mapping[str, Any],
    *,
    command: Sequence[str] = WORKER_COMMAND,
    on_stderr: Callable[[str], None] = lambda _: None,
    next_step: str = GOES_ON,
) -> Generator[Progress | Result, None, None]:
    """Yield progress while the operation runs, then its result.

    `on_stderr` gets each line of the child's stderr, in another thread. Raises the error that the child reports,
    EngineInterruptedError after ctrl+c, and SealError with `next_step` if the child died without a message.
    """
    child = subprocess.Popen(
        [*command, operation],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=child_environment(),
        encoding="utf-8",
        errors="replace",
    )
    listener = threading.Thread(target=_pass_on, args=(child.stderr, on_stderr), daemon=True)
    listener.start()
    last_word: Result | _Failure | None = None
    with _Interrupts(child) as interrupts:
        try:
            _feed(child, parameters)
            for line in child.stdout or ():
                message = _parse(line)
                if message is None:
                    on_stderr(line.rstrip("\n"))
                elif isinstance(message, Progress):
                    yield message
                else:
                    last_word = message
            exit_code = child.wait()
        finally:
            _end(child)
            listener.join(timeout=_LAST_WORDS_WITHIN_S)
        if isinstance(last_word, Result):
            yield last_word
            return
        raise _error(last_word, exit_code, interrupted=interrupts.count > 0, next_step=next_step)


class _Interrupts:
    """Counts ctrl+c and SIGTERM instead of ending this process; does nothing outside the main thread."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self.count = 0
        self._child = child
        self._before: dict[signal.Signals, Any] = {}
        self._hint = threading.Timer(_STDIN_STAYS_OPEN_S, _close, (child.stdin,))
        self._hint.daemon = True

    def __enter__(self) -> Self:
        in_main_thread = threading.current_thread() is threading.main_thread()
        for number in (signal.SIGINT, signal.SIGTERM) if in_main_thread else ():
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._count)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hint.cancel()
        for number, before in self._before.items():
            signal.signal(number, before)

    def _count(self, number: int, _frame: FrameType | None) -> None:
        self.count += 1
        if self.count == 1:
            self._hint.start()  # a child that the signal did not reach stops at the end of its stdin
            if number == signal.SIGTERM:  # unlike ctrl+c, it usually reaches this process alone
                self._child.send_signal(signal.SIGINT)
        else:
            self._child.kill()


def _feed(child: subprocess.Popen[str], parameters: Mapping[str, Any]) -> None:
    with suppress(BrokenPipeError):  # it died at once; its exit code says more
        if child.stdin is not None:
            child.stdin.write(json.dumps(parameters) + "\n")
            child.stdin.flush()


def _pass_on(stream: IO[str], on_line: Callable[[str], None]) -> None:
    with stream:
        for line in stream:
            on_line(line.rstrip("\n"))


def _end(child: subprocess.Popen[str]) -> None:
    """Make sure that the child is gone, and close the pipes."""
    _close(child.stdin)
    if child.poll() is None:
        child.send_signal(signal.SIGINT)
        try:
            child.wait(_END_WITHIN_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    _close(child.stdout)


def _close(stream: IO[str] | None) -> None:
    if stream is not None:
        with suppress(OSError):
            stream.close()


def _parse(line: str) -> Progress | Result | _Failure | None:
    """Return the message in a line of the child; None if it is something else, such as a library's own print."""
    try:
        said = json.loads(line)
    except ValueError:
        return None
    if not isinstance(said, dict) or len(said) != 1:
        return None
    ((kind, value),) = said.items()
    if not isinstance(value, dict):
        return None
    if kind == "progress":
        return _progress(value)
    return Result(value) if kind == "result" else _Failure(value) if kind == "error" else None


def _progress(value: Mapping[str, Any]) -> Progress | None:
    done, total = value.get("done", 0), value.get("total", 0)
    if not isinstance(done, int) or not isinstance(total, int):
        return None
    stage: Any = str(value.get("stage", ""))
    return Progress(stage, done, total, str(value.get("unit", "")), str(value.get("note", "")))


def _error(last_word: _Failure | None, exit_code: int, *, interrupted: bool, next_step: str) -> SealError:
    if interrupted or exit_code in {ExitCode.INTERRUPTED, -signal.SIGINT, -signal.SIGTERM}:
        return EngineInterruptedError("Interrupted. Completed measurements are kept.", next_step=next_step)
    if last_word is not None:
        return _error_of(last_word.said, exit_code)
    how = f"was killed by {_signal_name(-exit_code)}" if exit_code < 0 else f"ended with exit code {exit_code}"
    memory = " (often the system, when memory runs out)" if exit_code == -signal.SIGKILL else ""
    return SealError(
        f"The engine {how}{memory} before it had a result. Completed measurements are kept.", next_step=next_step
    )


def _error_of(said: Mapping[str, Any], exit_code: int) -> SealError:
    """Return the child's error in its own class, or in one with the child's exit code."""
    kind = getattr(errors, str(said.get("kind")), SealError)
    kind = kind if isinstance(kind, type) and issubclass(kind, SealError) else SealError
    problems = said.get("problems")
    error: SealError = kind(
        str(said.get("message") or "The engine failed without a message."),
        next_step=str(said.get("next_step") or ""),
        problems=[str(problem) for problem in problems] if isinstance(problems, list) else None,
    )
    if kind is SealError and exit_code in set(ExitCode) - {ExitCode.DONE}:
        error.exit_code = ExitCode(exit_code)
    return error


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
