"""The end of the event log, kept in a small file next to seal.db: number and hash of the newest event.

seal.db alone cannot show that its end is missing: without seal.db-wal, or as an older copy, it is a sound database with
fewer decisions. The file is written, durably, before a change is confirmed. Not guaranteed: anything against somebody
who changes both; a hash that is kept elsewhere (`verify --since`) shows that, too.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from store.durable import write_file
from store.errors import CorruptError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

SUFFIX = "-head"


@dataclass(frozen=True, slots=True)
class LogHead:
    """Number and hash of the newest event."""

    sequence: int
    hash: str


class LostLogError(CorruptError):
    """The event log does not end where it should, so nothing is added to it."""


def head_file(database_file: Path) -> Path:
    """Return where the end of the log of a seal.db is kept."""
    return database_file.with_name(database_file.name + SUFFIX)


def keep_head(connection: sqlite3.Connection, database_file: Path) -> None:
    """Keep the end of the log durably, after a commit; a log that has lost what was kept before stays evident.

    A failure of the disk is passed over: the commit stands, and the next one keeps the end again.
    """
    if _newer_head(connection, database_file) is None:
        return
    with suppress(OSError), _one_at_a_time(database_file.parent):
        newest = _newer_head(connection, database_file)
        if newest is not None:
            write_file(head_file(database_file), (json.dumps(asdict(newest)) + "\n").encode())


def _newer_head(connection: sqlite3.Connection, database_file: Path) -> LogHead | None:
    """Return the end of the log if it is to be kept: it is newer than what is kept, and follows from that."""
    found = connection.execute("SELECT sequence, hash FROM events ORDER BY sequence DESC LIMIT 1").fetchone()
    file = head_file(database_file)
    kept = _read(file)
    if found is None or (kept is None and file.exists()):
        return None
    newest = LogHead(*found)
    if kept is not None and (newest.sequence <= kept.sequence or _hash_of(connection, kept.sequence) != kept.hash):
        return None
    return newest


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Let no other process put an older end in place of a newer one."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def log_problems(connection: sqlite3.Connection, database_file: Path) -> list[str]:
    """Return what is missing at the end of the log, or was rewritten there; empty if nothing is."""
    file = head_file(database_file)
    if not file.exists():
        return []
    kept = _read(file)
    if kept is None:
        return [f"events: {file.name} cannot be read, so nothing vouches for the end of the log"]
    count = connection.execute("SELECT coalesce(max(sequence), 0) FROM events").fetchone()[0]
    if count < kept.sequence:
        lost = f"events: the log ends with event {count}, but it had {kept.sequence}: its end is lost"
        return [f"{lost}. seal.db is an older copy, or was separated from its seal.db-wal"]
    if _hash_of(connection, kept.sequence) != kept.hash:
        return [f"events: event {kept.sequence} is not the one that {file.name} names: the log was rewritten"]
    return []


def require_whole_log(connection: sqlite3.Connection, database_file: Path) -> None:
    """Raise LostLogError if the end of the log is missing or was rewritten: what follows would cover it up."""
    problems = log_problems(connection, database_file)
    if problems:
        raise LostLogError(problems[0], next_step=way_out(database_file))


def way_out(database_file: Path) -> str:
    """Return what to do if the end of the log is missing."""
    return (
        "Put back the newest seal.db together with its seal.db-wal. If they are lost for good, go on without what is "
        f"missing: rm {head_file(database_file)}"
    )


def _read(file: Path) -> LogHead | None:
    try:
        kept = LogHead(**json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
    return kept if isinstance(kept.sequence, int) and isinstance(kept.hash, str) else None


def _hash_of(connection: sqlite3.Connection, sequence: int) -> str | None:
    found = connection.execute("SELECT hash FROM events WHERE sequence = ?", (sequence,)).fetchone()
    return None if found is None else str(found[0])
