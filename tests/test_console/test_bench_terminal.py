"""The terminal that the bench measures with: which frame counts as the answer to a key."""

from __future__ import annotations

import gc
import sys

import pytest

from seal_console.console import gc_tuning as garbage
from seal_console.lab.terminal import PseudoTerminal
from store.errors import SealError

TWO_FRAMES = """
import sys
for word in ("oak", "elm"):
    sys.stdin.readline()
    sys.stdout.write("\\x1b[?2026h\\x1b[2J\\x1b[H" + word + "\\x1b[?2026l")
    sys.stdout.flush()
sys.stdin.readline()
"""


def test_the_answer_is_the_first_frame_that_shows_it_and_what_came_after_is_drawn_too() -> None:
    with PseudoTerminal([sys.executable, "-c", TWO_FRAMES], columns=20, rows=5) as terminal:
        pressed = terminal.press(b"\r")
        oak = terminal.when_shown(lambda lines: "oak" in lines[0], 30.0)
        terminal.press(b"\r")
        elm = terminal.when_shown(lambda lines: "elm" in lines[0], 30.0)
        assert pressed < oak < elm
        with pytest.raises(SealError, match="elm"):
            terminal.when_shown(lambda lines: "ash" in lines[0], 0.2)


def test_garbage_is_looked_through_only_while_nobody_types() -> None:
    assert not garbage.collect(idle_s=0.1)
    assert garbage.collect(idle_s=60.0)
    gc.disable()
    try:
        assert not garbage.collect(idle_s=60.0)
    finally:
        gc.enable()
