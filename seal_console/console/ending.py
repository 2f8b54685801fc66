"""Ends the console in order when the system asks it to: the terminal is left as it was found."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_ASKED_BY = (signal.SIGTERM, signal.SIGHUP)  # `kill`, and a terminal that was closed


def quit_when_asked(leave: Callable[[], object]) -> None:
    """Call `leave` on SIGTERM and SIGHUP, for as long as the event loop that runs now lives."""
    loop = asyncio.get_running_loop()
    for number in _ASKED_BY:
        loop.add_signal_handler(number, leave)
