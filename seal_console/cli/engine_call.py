"""Calls an operation of the engine for a command, with its progress on display."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from seal_console.cli.progress_display import make_display
from seal_console.engine_process import GOES_ON, Result, run_operation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seal_console.cli.invocation import Invocation


def call_engine(
    invocation: Invocation,
    operation: str,
    parameters: Mapping[str, Any],
    *,
    story: bool = False,
    next_step: str = GOES_ON,
) -> dict[str, Any]:
    """Run an operation to its end and return its result; `story` puts the engine's sentences on stdout.

    Raises what the engine reports, and SealError with `next_step` where it died.
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
    return result
