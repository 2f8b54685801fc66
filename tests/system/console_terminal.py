"""The real console in a pseudo-terminal: keys in, the screen's text and the bytes out; every wait has a deadline."""

from __future__ import annotations

import os
import re
import sys
import time
from typing import TYPE_CHECKING

import pyte

from seal_console.lab.terminal import PseudoTerminal
from store.errors import SealError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

WITHIN_S = 30.0
UP, DOWN, END = b"\x1b[A", b"\x1b[B", b"\x1b[F"
ESCAPE = b"\x1b[27u"  # as kitty sends it, for which the console asks: a lone escape could begin another key
ENTER, TAB, F2, F3 = b"\r", b"\t", b"\x1bOQ", b"\x1bOR"
CTRL_B, CTRL_P, CTRL_Q, CTRL_R, CTRL_S, CTRL_U, CTRL_X = b"\x02", b"\x10", b"\x11", b"\x12", b"\x13", b"\x15", b"\x18"
RESTORED = (b"\x1b[?1049l", b"\x1b[?1000l", b"\x1b[?1003l", b"\x1b[?1006l", b"\x1b[?2004l", b"\x1b[?25h")
TURNED_ON = (b"\x1b[?1049h", b"\x1b[?1000h", b"\x1b[?1003h", b"\x1b[?1006h", b"\x1b[?2004h", b"\x1b[?25l")

_FRAME_BEGINS, _FRAME_ENDS = b"\x1b[?2026h", b"\x1b[?2026l"
_JOINED = re.compile("\u200d.|\ufe0f")
_CONTROLS = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # OSC
    r"|\x1b[PX^_][^\x1b]*\x1b\\"  # DCS, SOS, PM, APC
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # CSI
    r"|\x1b[ -/]*."
    r"|[\x00-\x1f\x7f-\x9f]",
    re.DOTALL,
)


def pasted(text: str) -> bytes:
    """A text as xterm, kitty or Alacritty hands it over when somebody pastes it: they take escape characters out."""
    return b"\x1b[200~" + text.replace("\x1b", "").encode() + b"\x1b[201~"


class _Screen(pyte.Screen):  # type: ignore[misc, unused-ignore]
    """pyte's screen drops the rest of a line behind a zero-width joiner; here joined characters count as one."""

    def draw(self, data: str) -> None:
        super().draw(_JOINED.sub("", data))


class ConsoleTerminal(PseudoTerminal):
    """`seal-console` on a workspace, or any other command on a screen of its own."""

    def __init__(
        self,
        workspace: Path,
        *options: str,
        columns: int = 120,
        rows: int = 40,
        environment: Mapping[str, str] | None = None,
        command: Sequence[str] = (sys.executable, "-m", "seal_console"),
    ) -> None:
        words = ["env", "-u", "COLUMNS", "-u", "LINES", *command, "-w", str(workspace), *options]
        # A page that glides past is hard to wait for.
        defaults = {"COLORTERM": "truecolor", "TEXTUAL_ANIMATIONS": "none"}
        super().__init__(words, columns=columns, rows=rows, environment={**defaults, **(environment or {})})
        self.status: int | None = None
        self._begin_screen(columns, rows)

    def read(self, wait_s: float) -> float | None:
        """Take in whole frames only."""
        at = super().read(wait_s)
        while self.raw.rfind(_FRAME_BEGINS) > self.raw.rfind(_FRAME_ENDS):
            if super().read(1.0) is None:
                break
        return at

    def until(self, holds: Callable[[str], object], *, within_s: float = WITHIN_S) -> str:
        """Read until the screen's text is as wanted, and return it."""
        self.wait_for(lambda lines: bool(holds("\n".join(lines))), within_s)
        return self.text()

    def sees(self, *words: str, without: Sequence[str] = (), within_s: float = WITHIN_S) -> str:
        """Read until all of these words are on the screen, and none of the others."""
        return self.until(
            lambda text: all(word in text for word in words) and not any(word in text for word in without),
            within_s=within_s,
        )

    def keys(self, *keys: bytes | str) -> None:
        """Press keys one after another."""
        for key in keys:
            self.press(key.encode() if isinstance(key, str) else key)

    def opens(self, key: bytes | str, *words: str) -> str:
        """Press a key, and wait for what it shows."""
        self.keys(key)
        return self.sees(*words)

    def closes(self, *words: str) -> None:
        """Press escape, and wait until these words are gone."""
        self.keys(ESCAPE)
        self.sees(without=words)

    def presses_until(self, key: bytes | str, *words: str) -> str:
        """Press a key again and again until these words are on the screen: for one that may come too early."""
        deadline = time.monotonic() + WITHIN_S
        while True:
            self.keys(key)
            try:
                return self.sees(*words, within_s=1.0)
            except SealError:
                if time.monotonic() >= deadline:
                    raise

    def background(self, column: int, row: int) -> str:
        """The colour behind a cell: it tells what has the focus."""
        return str(self.screen.buffer[row][column].bg)

    def ended(self, *, within_s: float = WITHIN_S) -> int:
        """Wait for the program's end and return its exit status; what it still wrote is taken in."""
        deadline = time.monotonic() + within_s
        while not self._take_status():
            assert time.monotonic() < deadline, f"it did not end:\n{self.text()}"
            self.read(0.05)
        while self.read(0.05) is not None:
            pass
        assert self.status is not None
        return self.status

    def ends_when_closed(self, *, within_s: float = WITHIN_S) -> int:
        """Take the terminal away from the program, as closing a window does, and wait for its end."""
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, self._fd)
        os.close(nothing)
        deadline = time.monotonic() + within_s
        while not self._take_status():
            assert time.monotonic() < deadline, "it goes on without a terminal"
            time.sleep(0.02)
        assert self.status is not None
        return self.status

    def _take_status(self) -> bool:
        done, status = os.waitpid(self.pid, os.WNOHANG)
        if done:
            self.status = os.waitstatus_to_exitcode(status)
        return done != 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.status is None:
            super().__exit__(kind, error, trace)
        else:  # its number may be another process's by now
            os.close(self._fd)

    def resized(self, columns: int, rows: int) -> None:
        """Give the screen another size, and forget what was on it: a terminal's own reflow is not the console's."""
        self._begin_screen(columns, rows)
        self.resize(columns, rows)

    def _begin_screen(self, columns: int, rows: int) -> None:
        self.screen = _Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)

    @property
    def decoded(self) -> str:
        """All that was written, as text; bytes that are no UTF-8 fail."""
        return bytes(self.raw).decode("utf-8")

    @property
    def controls(self) -> list[str]:
        """Every control sequence that was written, in order."""
        return _CONTROLS.findall(self.decoded)

    @property
    def drawn(self) -> str:
        """All text that was ever drawn, whether it is still on the screen or not."""
        return _CONTROLS.sub(" ", self.decoded)

    @property
    def is_restored(self) -> bool:
        """Whether everything that the console turned on in the terminal was turned off again, and last."""
        return all(
            self.raw.rfind(on) != -1 and self.raw.rfind(off) > self.raw.rfind(on)
            for on, off in zip(TURNED_ON, RESTORED, strict=True)
        )
