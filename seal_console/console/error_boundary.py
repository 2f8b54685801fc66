"""Lets a screen live on after an unexpected error in one of its handlers.

Textual ends the message loop of a node whose handler raises, and with it the application. Here the error is handed to
the application, which writes a report and shows where it is; the next message is handled as if nothing had happened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.message_pump import MessagePump

if TYPE_CHECKING:
    from textual.message import Message

    from seal_console.console.app import ConsoleApp


class ErrorBoundary(MessagePump):
    """A mixin for everything whose handlers are this program's own; it stands before Textual's class."""

    async def _dispatch_message(self, message: Message) -> None:
        try:
            await super()._dispatch_message(message)
        except Exception as error:  # noqa: BLE001 - the last resort, and it is shown
            cast("ConsoleApp", self.app).unexpected(error)
