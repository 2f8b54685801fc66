"""Keeps Python's garbage collector from holding keys up: a look through everything takes 20 to 90 ms.

Nearly all of what starting makes stays, so nothing is collected until then, and nothing of it is looked through later.
Afterwards small looks come by themselves, as ever, and whole ones only while nobody types.
"""

from __future__ import annotations

import gc

EVERY_S = 30.0
_IDLE_S = 1.0
_NEVER = 1_000_000


def hold_back() -> None:
    """Collect nothing until `begin`, and never everything by itself: for a process that is nothing but a console."""
    small, middle, _ = gc.get_threshold()
    gc.set_threshold(small, middle, _NEVER)
    gc.disable()


def begin() -> None:
    """Take all that is there for good, and collect what comes after it."""
    gc.freeze()
    gc.enable()


def collect(idle_s: float) -> bool:
    """Look through everything where no key has come for `idle_s` seconds, and that is long; returns whether."""
    if idle_s < _IDLE_S or not gc.isenabled():
        return False
    gc.collect()
    return True
