"""Commands of a console action: each git command, and each statement that changed the database."""

from __future__ import annotations

import shlex
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from store.git_command import listen_to_commands

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlite_utils import Database

_CHANGES = ("insert", "update", "delete", "begin", "commit", "rollback", "replace")
_LONGEST = 400


@dataclass(frozen=True, slots=True)
class Trace:
    """One action: start time, title and commands in order; `failed` is the error, if there was one."""

    at: str
    title: str
    actor: str
    commands: list[str] = field(default_factory=list)
    failed: str = ""


@contextmanager
def record_commands(db: Database, commands: list[str]) -> Iterator[None]:
    """Record what the block runs on this connection, and the git commands of this thread."""
    thread = threading.get_ident()

    def heard(folder: str, arguments: tuple[str, ...]) -> None:
        if threading.get_ident() == thread:
            commands.append(_short(f"git -C {shlex.quote(folder)} {shlex.join(arguments)}"))

    def ran(statement: str) -> None:
        if statement.lstrip().lower().startswith(_CHANGES):
            commands.append(_short(" ".join(statement.split())))

    db.conn.set_trace_callback(ran)
    try:
        with listen_to_commands(heard):
            yield
    finally:
        db.conn.set_trace_callback(None)


def _short(command: str) -> str:
    return command if len(command) <= _LONGEST else command[:_LONGEST] + " …"
