"""Keeps Python's garbage collector from delaying keys: a full collection takes 20 to 90 ms.

Nearly all objects made at start-up stay alive, so nothing is collected until then, and these objects are never examined
later. Afterwards young generations are collected as usual, and full collections run only while nobody types.
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
    """Exempt all existing objects for good, and collect later ones."""
    gc.freeze()
    gc.enable()


def collect(idle_s: float) -> bool:
    """Collect everything if no key has come for `idle_s` seconds and that is long enough; return whether it did."""
    if idle_s < _IDLE_S or not gc.isenabled():
        return False
    gc.collect()
    return True
