"""Lets whoever types on this machine come before an engine that works in the background.

Where Linux groups tasks by session (`sched_autogroup_enabled`, on by default in many kernels), it shares processors out
between sessions first: a process's own niceness counts only inside its session, and an engine in a session of its own
takes as much as the console however nice it is. So the session becomes nicer too. Not promised: that either is obeyed
where a container or systemd gives each program a share of its own.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

POLITENESS = 10  # a tenth of a processor that somebody else wants too: enough to get on beside other work
_OWN_GROUP = Path("/proc/self/autogroup")
_TRIES = 5
_BETWEEN_TRIES_S = 0.11  # the kernel lets all who are not root change groups ten times a second together


def be_polite() -> None:
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
