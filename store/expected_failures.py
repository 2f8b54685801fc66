"""Tells failures of SQLite and of the file system apart: busy, full, read-only, unreadable, damaged.

Only damage advises to restore a backup: whoever restores one where the disk is merely full loses decisions.
"""

from __future__ import annotations

import errno
import shutil
import sqlite3
from typing import TYPE_CHECKING

from store.errors import CorruptError, LockedError, SealError
from store.lock import lock_owner

if TYPE_CHECKING:
    from pathlib import Path

_PRIMARY = 0xFF  # the part of an extended SQLite error code that says what kind it is
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
_READ_ONLY = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM})
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_UNREACHABLE = {
    sqlite3.SQLITE_IOERR: (
        "The file system failed while {} was being read or written",
        "Check the disk, its quota and its free inodes; then seal-console verify.",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "{} cannot be opened",
        "Check that this user may read and write it and its folder, where SQLite keeps seal.db-wal.",
    ),
}
_NO_ROOM_BYTES = 64_000  # less than SQLite needs for the index of its log
RESTORE = "Restore seal.db from a backup; adapters/ still has every accepted version."


class ReadOnlyError(SealError):
    """The workspace, or the medium that it is on, cannot be written to."""


class DiskFailureError(SealError):
    """The disk is full, or failed: nothing can be written, but what is there may still be read."""


def expected_failure(error: BaseException, database_file: Path | None = None) -> SealError | None:
    """Return a failure of SQLite or of the disk as one that says what to do; None if it is another kind of error."""
    if isinstance(error, SealError):
        return error
    if isinstance(error, sqlite3.Error):
        return sqlite_failure(error, database_file)
    if isinstance(error, OSError) and error.errno == errno.EROFS:
        return read_only(error.filename or "the workspace")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _full(error.filename or "a file")
    if isinstance(error, PermissionError) and error.filename:
        return SealError(
            f"{error.filename}: this user has no permission for it.",
            next_step="Ask for access to the workspace's files, or work in a copy: cp -r WORKSPACE COPY",
        )
    return None


def sqlite_failure(error: sqlite3.Error, database_file: Path | None = None) -> SealError | None:
    """Return what an error of SQLite means for the operator; None for a mistake of this program, such as wrong SQL."""
    name = "seal.db" if database_file is None else str(database_file)
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & _PRIMARY
    if code in _BUSY:
        return LockedError(f"{name} is locked by another process{_holder(database_file)}: {error}.", next_step=_UNLOCK)
    if code in _READ_ONLY:
        return read_only(name)
    if code in _DAMAGED:
        return CorruptError(f"{name} is damaged: {error}.", next_step=RESTORE)
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _has_no_room(database_file)):
        return _full(name)
    if "malformed JSON" in str(error):
        return CorruptError(f"A row of {name} cannot be read: {error}.", next_step="seal-console verify names it.")
    message, next_step = _UNREACHABLE.get(code, ("", ""))
    kind = DiskFailureError if code == sqlite3.SQLITE_IOERR else SealError
    return kind(f"{message.format(name)}: {error}.", next_step=next_step) if message else None


def read_only(name: object) -> ReadOnlyError:
    """Return the error of a command that would have to write to something read-only."""
    return ReadOnlyError(
        f"{name} is read-only, so nothing can be changed.",
        next_step="Make it writable for this user, or work in a copy: cp -r WORKSPACE COPY. It can still be read.",
    )


_UNLOCK = "End the process that has seal.db open (an engine, a console, a database browser), and try again."


def _holder(database_file: Path | None) -> str:
    owner = None if database_file is None else lock_owner(database_file.with_name("engine.lock"))
    return "" if owner is None else f" (an engine is running: process {owner.pid} of {owner.user}, {owner.command})"


def _has_no_room(database_file: Path | None) -> bool:
    if database_file is None:
        return False
    try:
        return shutil.disk_usage(database_file.parent).free < _NO_ROOM_BYTES
    except OSError:
        return False


def _full(name: object) -> DiskFailureError:
    return DiskFailureError(
        f"{name} cannot be written: no space is left on the disk. This change was not made.",
        next_step="Free some space, and run the command again.",
    )
