"""A lock for one process at a time that names its owner and is released when the owner dies.

It is an flock on a file: the kernel drops it with the process. The owner's name inside the file is only for messages.
Not guaranteed: mutual exclusion between machines on network folders without flock.
"""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import socket
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from store.clock import utc_now
from store.errors import LockedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_RETRY_S = 0.02
DEFAULT_WAIT_S = 0.2
_WAIT = "Wait until it is done, or stop it with seal-console stop; the lock is released with its process."


@dataclass(frozen=True, slots=True)
class LockOwner:
    """The owner of a lock, and since when it has it."""

    pid: int
    host: str
    user: str
    command: str
    since: str


def current_user() -> str:
    """Return the user name of this process, or the user number if it has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


@contextmanager
def hold_lock(
    path: Path, command: str, *, wait_s: float = DEFAULT_WAIT_S, next_step: str = _WAIT
) -> Iterator[LockOwner]:
    """Hold the lock at `path` while the block runs, as `command`; wait for it up to `wait_s`.

    Raises LockedError with the owner and the time if another process has it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not _acquire(descriptor, wait_s):
            raise _locked(path, _read_owner(path), next_step)
        owner = LockOwner(os.getpid(), socket.gethostname(), current_user(), command, utc_now())
        _write(descriptor, json.dumps(asdict(owner), ensure_ascii=False))
        try:
            yield owner
        finally:
            _write(descriptor, "")
    finally:
        os.close(descriptor)


def lock_owner(path: Path) -> LockOwner | None:
    """Return the owner of the lock at `path`, or None if it is free. An unreadable name is "?"."""
    try:
        descriptor = os.open(path, os.O_RDONLY)  # enough for a shared lock, and possible on a read-only medium
    except FileNotFoundError:
        return None
    try:
        if _acquire(descriptor, 0, fcntl.LOCK_SH):  # shared: two readers do not take each other for the owner
            return None
        return _read_owner(path) or LockOwner(0, "?", "?", "?", "?")
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, wait_s: float, kind: int = fcntl.LOCK_EX) -> bool:
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_RETRY_S)
        else:
            return True


def _write(descriptor: int, text: str) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode("utf-8"), 0)


def _read_owner(path: Path) -> LockOwner | None:
    try:
        return LockOwner(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _locked(path: Path, owner: LockOwner | None, next_step: str) -> LockedError:
    if owner is None:
        return LockedError(f"{path} is locked by another process.", next_step="Try again in a moment.")
    return LockedError(
        f"{path} is locked by process {owner.pid} on {owner.host} ({owner.user}: {owner.command}) since {owner.since}.",
        next_step=next_step,
    )
