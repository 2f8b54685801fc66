"""Lets the engine keep memory that it will need again in a moment.

Each step of a bank needs many megabytes for a moment. glibc gives what is freed at the top of its heap back to the
kernel, and with the next step takes it again, page by page: a part of the time of every step.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
KEPT = 512 * 2**20  # bytes that are freed and kept, at most
LARGEST = 32 * 2**20  # bytes; what is larger goes back at once. More than this glibc does not take


def keep_freed_memory(environ: Mapping[str, str] = os.environ) -> bool:
    """Set it for glibc; returns whether it was set: not with another C library, nor where the user has set it."""
    if any(name.startswith("MALLOC_") for name in environ) or "glibc.malloc" in environ.get("GLIBC_TUNABLES", ""):
        return False
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        return bool(mallopt(_TRIM_THRESHOLD, KEPT) and mallopt(_MMAP_THRESHOLD, LARGEST))
    return False
