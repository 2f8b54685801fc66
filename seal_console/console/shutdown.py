"""Ends the console in order when the system asks it to: the terminal is left as it was found.

Where the terminal itself is gone, the console dies at once, as it would without this. Textual would wait for ever to
write to it, and nothing is lost: the next console finishes what was begun.
"""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_STDIN = 0


def quit_when_asked(leave: Callable[[], object]) -> None:
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
