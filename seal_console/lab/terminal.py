"""A program in a real pseudo-terminal, and the times at which its screen shows something.

A thread records when the program's output arrives. Drawing it into a screen in memory takes longer than the program
needs to write it, so drawing must delay neither the program nor the clock. The screen is pyte's.
"""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import termios
import threading
import time
import warnings
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Self

import pyte

from store.errors import SealError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

_CHUNK = 65536
_FRAME_WITHIN_S = 1.0
_SILENCE_S = 0.03
# Synchronized output: this terminal accepts whole frames. Without it, half a frame would be drawn here while the
# other half waits, and would seem late.
_MAY_I_SYNCHRONIZE, _YOU_MAY = b"\x1b[?2026$p", b"\x1b[?2026;2$y"
_FRAME_BEGINS, _FRAME_ENDS = b"\x1b[?2026h", b"\x1b[?2026l"
_END_WITHIN_S = 5.0


class PseudoTerminal:
    """Runs a program on a screen of `columns` × `rows`; a context manager that ends it."""

    def __init__(
        self, command: Sequence[str], *, columns: int, rows: int, environment: Mapping[str, str] | None = None
    ) -> None:
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = bytearray()
        self._arrived = SimpleQueue[tuple[float, bytes]]()
        self._in_frame = False
        self._tail = b""
        self._told = False
        self.started = time.perf_counter()
        with (
            warnings.catch_warnings()
        ):  # newer Pythons warn of a fork in a process with threads; the child only becomes another program
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid, self._fd = pty.fork()
        if self.pid == 0:  # pragma: no cover - the child becomes another program
            try:
                os.execvpe(command[0], list(command), {**os.environ, "TERM": "xterm-256color", **(environment or {})})  # noqa: S606
            finally:
                os._exit(127)
        self.resize(columns, rows)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
        until = time.monotonic() + _END_WITHIN_S
        while time.monotonic() < until:
            if self._gone():
                break
            self.read(0.05)
        else:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(self.pid, 0)
        self._listener.join(_END_WITHIN_S)
        os.close(self._fd)

    def resize(self, columns: int, rows: int) -> None:
        """Change the size of the screen."""
        self.screen.resize(rows, columns)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, keys: bytes) -> float:
        """Send keys as the terminal would; returns when."""
        at = time.perf_counter()
        os.write(self._fd, keys)
        return at

    def read(self, wait_s: float) -> float | None:
        """Draw the next frame of the program; return when it was complete, or None if nothing came in time."""
        at, frame = self._take(wait_s)
        self._draw(frame)
        return at

    def _take(self, wait_s: float) -> tuple[float | None, bytes]:
        data, at = b"", None
        while True:
            try:
                at, piece = self._arrived.get(timeout=_FRAME_WITHIN_S if self._in_frame else wait_s)
            except Empty:
                break
            data += piece
            self._follow_frames(piece)
            if not self._in_frame:
                break
        return at, data

    def _draw(self, frame: bytes) -> None:
        if frame:
            self.raw += frame
            self._stream.feed(frame)

    def _listen(self) -> None:
        """Take in everything that arrives, until the program is gone."""
        while True:
            try:
                data = os.read(self._fd, _CHUNK)
            except OSError:
                return
            if not data:
                return
            self._arrived.put((time.perf_counter(), data))

    def _follow_frames(self, data: bytes) -> None:
        if not self._told and _MAY_I_SYNCHRONIZE in data:
            self._told = True
            self.press(_YOU_MAY)
        seen = self._tail + data  # a mark may be cut in two
        self._tail = seen[-len(_FRAME_ENDS) :]
        begins, ends = seen.rfind(_FRAME_BEGINS), seen.rfind(_FRAME_ENDS)
        if begins != ends:  # one of them is there
            self._in_frame = begins > ends

    def wait_for(self, holds: Callable[[list[str]], bool], within_s: float) -> float:
        """Read until `holds` accepts the screen's lines; return when that frame arrived. Raises SealError after
        `within_s`.
        """
        until = time.perf_counter() + within_s
        at = time.perf_counter()
        while not holds(self.lines()):
            left = until - time.perf_counter()
            if left <= 0:
                raise self._in_vain()
            at = self.read(min(left, 0.5)) or at
        return at

    def when_shown(self, holds: Callable[[list[str]], bool], within_s: float) -> float:
        """As `wait_for`, for timing: nothing is drawn until the program is silent.

        Drawing takes a processor from the program, and this process's lock from the thread that reads the clock.
        """
        until, shown = time.perf_counter() + within_s, None
        while shown is None:
            left = until - time.perf_counter()
            if left <= 0:
                raise self._in_vain()
            for at, frame in self._until_silent(min(left, 0.5)):
                self._draw(frame)
                if shown is None and holds(self.lines()):
                    shown = at
        return shown

    def _until_silent(self, wait_s: float) -> list[tuple[float, bytes]]:
        frames = []
        at, frame = self._take(wait_s)
        while at is not None:
            frames.append((at, frame))
            at, frame = self._take(_SILENCE_S)
        return frames

    def _in_vain(self) -> SealError:
        return SealError("The console did not show the expected lines.\n" + "\n".join(self.lines()))

    def settle(self, quiet_s: float = 0.2) -> None:
        """Read until nothing arrives for a while."""
        while self.read(quiet_s) is not None:
            pass

    def lines(self) -> list[str]:
        """The screen as text."""
        return list(self.screen.display)

    def text(self) -> str:
        """The whole screen."""
        return "\n".join(self.lines())

    def _gone(self) -> bool:
        try:
            return os.waitpid(self.pid, os.WNOHANG)[0] != 0
        except ChildProcessError:
            return True
