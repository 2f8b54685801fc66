"""Process-wide settings for an engine that shares a machine: priority, OpenMP's spinning, and glibc's heap.

If Linux groups tasks by session (`sched_autogroup_enabled`, on by default in many kernels), it shares processors
between sessions first: niceness counts only inside a session, and an engine in a session of its own would take as much
as the console however nice it is. So the session's niceness is raised, too. Containers and systemd may give each
program a fixed share; then neither has an effect.
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


POLITENESS = 10  # leaves a tenth of a contended processor: enough to make progress
_OWN_GROUP = Path("/proc/self/autogroup")
_TRIES = 5
_BETWEEN_TRIES_S = 0.11  # the kernel lets everyone but root change groups ten times a second in total


def lower_priority() -> None:
    """Lower the priority of this process, and of its session unless the session is shared with others."""
    os.nice(POLITENESS)
    if os.getsid(0) == os.getpid():
        with suppress(OSError):  # not Linux, or a kernel without such groups
            _lower_own_group()


def _lower_own_group() -> None:
    for _ in range(_TRIES):
        with suppress(BlockingIOError):
            _OWN_GROUP.write_text(str(POLITENESS), encoding="utf-8")
            return
        time.sleep(_BETWEEN_TRIES_S)


SPINS = 100_000  # longer than threads wait for each other between two small products, far shorter than the default


def limit_openmp_spin(environ: MutableMapping[str, str] = os.environ) -> None:
    """Limit how long GNU OpenMP's threads spin; call it before torch, which brings OpenMP on Linux, is imported.

    A user's own `GOMP_SPINCOUNT` or `OMP_WAIT_POLICY` is kept.
    """
    if "OMP_WAIT_POLICY" not in environ:
        environ.setdefault("GOMP_SPINCOUNT", str(SPINS))


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # from glibc's malloc.h
KEPT = 512 * 2**20  # bytes of freed memory that are kept, at most
LARGEST = 32 * 2**20  # bytes; larger blocks are returned at once. glibc accepts no more than this


def keep_freed_memory(environ: Mapping[str, str] = os.environ) -> bool:
    """Make glibc keep freed memory, which the next training step needs again; returns whether it was set.

    It is not set with another C library, or if the user has set it.
    """
    if any(name.startswith("MALLOC_") for name in environ) or "glibc.malloc" in environ.get("GLIBC_TUNABLES", ""):
        return False
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        return bool(mallopt(_TRIM_THRESHOLD, KEPT) and mallopt(_MMAP_THRESHOLD, LARGEST))
    return False


def return_freed_memory() -> None:
    """Give freed memory back to the system, after work that needs far more than what comes next; glibc only."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
