"""Lets whoever types on this machine come before an engine that works in the background.

Where Linux groups tasks by session (`sched_autogroup_enabled`, on by default in many kernels), it shares processors out
between sessions first: a process's own niceness counts only inside its session, and an engine in a session of its own
takes as much as the console however nice it is. So the session becomes nicer too. Not promised: that either is obeyed
where a container or systemd gives each program a share of its own.
"""

from __future__ import annotations

import ctypes
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping


POLITENESS = 10  # a tenth of a processor that somebody else wants too: enough to get on beside other work
_OWN_GROUP = Path("/proc/self/autogroup")
_TRIES = 5
_BETWEEN_TRIES_S = 0.11  # the kernel lets all who are not root change groups ten times a second together


def lower_priority() -> None:
    """Take the processors only where others leave them; a session that is shared with others is left as it is."""
    os.nice(POLITENESS)
    if os.getsid(0) == os.getpid():
        with suppress(OSError):  # not on Linux, or a kernel without such groups
            _lower_own_group()


def _lower_own_group() -> None:
    for _ in range(_TRIES):
        with suppress(BlockingIOError):
            _OWN_GROUP.write_text(str(POLITENESS), encoding="utf-8")
            return
        time.sleep(_BETWEEN_TRIES_S)


SPINS = 100_000  # longer than threads wait for each other between two small products, and far shorter than by default


def limit_openmp_spin(environ: MutableMapping[str, str] = os.environ) -> None:
    """Set it for GNU's OpenMP, which torch brings on Linux; must be called before torch is imported.

    A user's own `GOMP_SPINCOUNT` or `OMP_WAIT_POLICY` stays.
    """
    if "OMP_WAIT_POLICY" not in environ:
        environ.setdefault("GOMP_SPINCOUNT", str(SPINS))


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
