"""How the console's process runs: background work, errors in handlers, and shutdown on signals.

On SIGTERM and SIGHUP the terminal is restored. If the terminal itself is gone, the console dies at once: Textual would
wait for ever to write to it, and the next console finishes what was interrupted.
"""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Any, Protocol, cast

from textual.css.query import NoMatches
from textual.message_pump import MessagePump

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from textual.dom import DOMNode
    from textual.message import Message


def start_work(
    node: DOMNode, work: Callable[[], Coroutine[Any, Any, object]], *, group: str, exclusive: bool = True
) -> None:
    """Run `work` in the background; an exclusive one replaces the running one of its group."""

    async def unless_taken_down() -> None:
        try:
            await work()
        except NoMatches:
            if node.is_attached and node.app.is_running:
                raise  # otherwise its widgets were removed while it read

    node.run_worker(cast("Any", unless_taken_down), group=group, exclusive=exclusive)


class ErrorReporter(Protocol):
    """The application, as far as `ErrorBoundary` needs it."""

    def unexpected(self, error: Exception) -> None:
        """Report an error; the application continues."""
        ...


class ErrorBoundary(MessagePump):
    """A mixin for classes with handlers of this program; list it before Textual's class.

    Textual ends the message loop of a node whose handler raises, and with it the application. Here the application gets
    the error, writes a report and shows its path; the next message is handled as usual.
    """

    async def _dispatch_message(self, message: Message) -> None:
        try:
            await super()._dispatch_message(message)
        except Exception as error:  # noqa: BLE001 - the last resort; the error is shown
            cast("ErrorReporter", self.app).unexpected(error)


_STDIN = 0


def quit_on_signals(leave: Callable[[], object]) -> None:
    """Call `leave` on SIGTERM and SIGHUP, for as long as the event loop that runs now lives."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, leave)
    loop.add_signal_handler(signal.SIGHUP, _hang_up, leave)


def _hang_up(leave: Callable[[], object]) -> None:
    if os.isatty(_STDIN):
        leave()
    else:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGHUP)
