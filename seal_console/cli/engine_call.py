"""Calls an operation of the engine for a command, with its progress on display."""

from __future__ import annotations

import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, Protocol, Self

from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TaskID, TimeRemainingColumn
from rich.progress import Progress as Bars

from seal_console.engine_process import GOES_ON, Result, run_operation
from seal_console.format import show_line, show_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from rich.console import Console
    from rich.progress import Task
    from rich.text import Text

    from engine.runtime.progress import Progress
    from seal_console.cli.invocation import Invocation, Output


def call_engine(
    invocation: Invocation,
    operation: str,
    parameters: Mapping[str, Any],
    *,
    story: bool = False,
    records: bool = True,
    next_step: str = GOES_ON,
) -> dict[str, Any]:
    """Run an operation to its end and return its result; `story` prints the engine's sentences on stdout.

    With `records`, the result is kept somewhere and the output only reports it.

    Raises the error that the engine reports, or SealError with `next_step` if it died.
    """
    result: dict[str, Any] = {}
    messages = run_operation(
        operation,
        parameters,
        command=invocation.worker_command,
        on_stderr=invocation.output.narrate,
        next_step=next_step,
    )
    with make_display(invocation.output, story=story) as display, closing(messages):
        for message in messages:
            if isinstance(message, Result):
                result = message.value
                continue
            display.progress(message)
            if message.note:
                display.say(message.note)
    invocation.has_acted = records
    return result


_JSON_EVERY_S = 1.0
_LINE_EVERY_S = 10.0
_RATE_AFTER_S = 0.5


class Display(Protocol):
    """Shows progress while the engine works."""

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""

    def progress(self, progress: Progress) -> None:
        """Show how far a stage is."""

    def say(self, sentence: str) -> None:
        """Show a sentence of the engine."""


def make_display(output: Output, *, story: bool) -> Display:
    """Return the display for an output; with `story`, sentences are the command's data and belong on stdout."""
    if output.as_json:
        return JsonLines(output)
    words = output.out if story else output.err
    if output.err.is_terminal:
        return BarDisplay(output.out if story and output.out.is_terminal else output.err, words)
    return PlainLines(output.err, words)


class BarDisplay:
    """A bar for each stage, with rate and remaining time."""

    def __init__(self, console: Console, words: Console) -> None:
        self._words = words
        self._bars = Bars(
            _StageColumn(), BarColumn(), MofNCompleteColumn(), _RateColumn(), TimeRemainingColumn(),
            console=console, transient=True,
        )  # fmt: skip
        self._stages: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def progress(self, progress: Progress) -> None:
        """Move the stage's bar; a stage that starts again gets a new bar."""
        if progress.total <= 0:
            return
        bar = self._stages.get(progress.stage)
        if bar is None:
            bar = self._bars.add_task("", total=progress.total, stage=progress.stage, unit=progress.unit)
            self._stages[progress.stage] = bar
        elif self._begins_again(bar, progress):
            self._bars.reset(bar, total=progress.total)
        self._bars.update(bar, completed=progress.done, total=progress.total)

    def _begins_again(self, bar: TaskID, progress: Progress) -> bool:
        drawn = self._bars.tasks[self._bars.task_ids.index(bar)]
        return progress.done < drawn.completed or (drawn.finished and progress.total != drawn.total)

    def say(self, sentence: str) -> None:
        """Print above the bars."""
        self._words.print(show_text(sentence), soft_wrap=True)


class PlainLines:
    """A line now and then, and one when a stage is done: for logs."""

    def __init__(self, console: Console, words: Console) -> None:
        self._console = console
        self._words = words
        self._pace = _Pace(_LINE_EVERY_S)
        self._started: dict[str, tuple[float, int]] = {}
        self._printed: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def progress(self, progress: Progress) -> None:
        """Print how far a stage is, with its rate and remaining time."""
        now = time.monotonic()
        if progress.stage not in self._started or progress.done < self._started[progress.stage][1]:
            self._started[progress.stage] = (now, progress.done)
        if progress.total <= 0 or not self._pace.is_due(progress):
            return
        began, from_count = self._started[progress.stage]
        rate = (progress.done - from_count) / (now - began) if now - began > _RATE_AFTER_S else 0.0
        left = f", {rate:.1f}/s, {(progress.total - progress.done) / rate:.0f} s left" if rate > 0 else ""
        line = f"{progress.stage}: {progress.done}/{progress.total} {progress.unit}".rstrip()
        if self._printed.get(progress.stage) != line:
            self._printed[progress.stage] = line
            with suppress(OSError):
                self._console.print(show_line(line + left), soft_wrap=True)
        if progress.done >= progress.total:
            del self._started[progress.stage]

    def say(self, sentence: str) -> None:
        """Print a line."""
        with suppress(OSError):  # a run does not depend on who reads; what fails is noted when the command ends
            self._words.print(show_text(sentence), soft_wrap=True)


class JsonLines:
    """Progress as JSON objects on stdout, at most one a second for each stage; sentences on stderr too."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._pace = _Pace(_JSON_EVERY_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def progress(self, progress: Progress) -> None:
        """Write an object."""
        if progress.note or self._pace.is_due(progress):
            figures: dict[str, Any] = {name: getattr(progress, name) for name in ("stage", "done", "total", "unit")}
            self._output.data({"progress": {**figures, "note": progress.note}})

    def say(self, sentence: str) -> None:
        """Print a line on stderr."""
        self._output.narrate(sentence)


class _Pace:
    """Passes on the end of each stage, and otherwise one report for each stage every few seconds."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._last: dict[str, float] = {}

    def is_due(self, progress: Progress) -> bool:
        now = time.monotonic()
        ends = 0 < progress.total <= progress.done
        if not ends and now - self._last.get(progress.stage, float("-inf")) < self._every_s:
            return False
        self._last[progress.stage] = now
        return True


class _StageColumn(ProgressColumn):
    """The stage's name."""

    def render(self, task: Task) -> Text:
        """Return the cell."""
        return show_line(f"{task.fields['stage']:>14}")


class _RateColumn(ProgressColumn):
    """Units a second."""

    def render(self, task: Task) -> Text:
        """Return the cell."""
        speed = task.finished_speed or task.speed
        return show_line("" if not speed else f"{speed:.1f} {task.fields['unit'] or ''}/s", "dim")
