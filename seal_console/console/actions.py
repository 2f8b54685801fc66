"""The console's changes, each an operation that the command line offers under the same name.

Actions run one after another in a thread of their own, with their own connection; an expected failure is raised as
SealError. Their git commands and SQL are kept in `history` and in cache/commands.jsonl.
"""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, TypeVar

from seal_console.console.command_trace import Trace, record_commands
from store.clock import utc_now
from store.database import open_database, open_to_read
from store.errors import WrongUseError
from store.expected_failures import expected_failure
from store.live_ref import sync_checkout
from store.recovery import recover
from store.version_tags import live_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlite_utils import Database

    from store.workspace import Workspace


T = TypeVar("T")
HISTORY_NAME = "commands.jsonl"
_KEPT = 500


class Actions:
    """The one writer of a console."""

    def __init__(self, workspace: Workspace, actor: str, *, read_only: bool) -> None:
        self.workspace = workspace
        self.actor = actor
        self.read_only = read_only
        self.history: list[Trace] = []
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="store-writer")
        self._db: Database | None = None
        self._closed = False

    async def prepare(self) -> None:
        """Open the database and migrate its schema. Raises SealError if a read-only console cannot read it as it is."""
        if self._closed:
            raise asyncio.CancelledError
        open_it = self._require_readable if self.read_only else self._database
        await asyncio.wrap_future(self._executor.submit(open_it))

    async def run(self, title: str, action: Callable[[Workspace, Database], T]) -> T:
        """Run an action in the writer's thread and return its result. Raises what it raises."""
        if self.read_only:
            raise WrongUseError(
                "This console is read-only.", next_step="Start seal-console without --read-only to make decisions."
            )
        return await self._submit(title, action)

    async def tidy(self) -> list[str]:
        """Finish what a crash interrupted and follow a manual checkout; return a sentence for each repair."""
        return [] if self.read_only else await self._submit("open the workspace", _tidy, looks_only=True)

    def close(self) -> None:
        """Wait for the action that runs, if any, and close the connection."""
        if self._closed:
            return
        self._closed = True
        self._executor.submit(self._close)
        self._executor.shutdown(wait=True)

    async def _submit(self, title: str, action: Callable[[Workspace, Database], T], *, looks_only: bool = False) -> T:
        if self._closed:
            raise asyncio.CancelledError
        return await asyncio.wrap_future(self._executor.submit(self._run, title, action, looks_only=looks_only))

    def _run(self, title: str, action: Callable[[Workspace, Database], T], *, looks_only: bool) -> T:
        """Run an action; one that `looks_only` is kept in the history only if it returned something."""
        db = self._database()
        trace = Trace(utc_now(), title, self.actor)
        done: T | None = None
        try:
            with record_commands(db, trace.commands):
                done = action(self.workspace, db)
        except Exception as error:
            expected = expected_failure(error, self.workspace.database_file)
            if expected is None:
                raise
            trace = replace(trace, failed=expected.message)
            raise expected from error
        else:
            return done
        finally:
            if trace.failed or (trace.commands and (done or not looks_only)):
                self._keep(trace)

    def _require_readable(self) -> None:
        open_to_read(self.workspace.database_file).conn.close()

    def _database(self) -> Database:
        if self._db is None:
            self._db = open_database(self.workspace.database_file)
        return self._db

    def _keep(self, trace: Trace) -> None:
        self.history = [*self.history[-_KEPT:], trace]
        path = self.workspace.cache_folder / HISTORY_NAME
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(trace), ensure_ascii=False) + "\n")

    def _close(self) -> None:
        if self._db is not None:
            self._db.conn.close()
            self._db = None


def kept_traces(path: Path, most: int = _KEPT) -> list[Trace]:
    """Return the newest traces of a file, oldest first; lines that are not traces are left out."""
    if not path.is_file():
        return []
    found = []
    # Not splitlines: it also splits at separators that JSON does not escape, which a reason may contain.
    for line in path.read_text(encoding="utf-8", errors="replace").rstrip("\n").split("\n")[-most:]:
        try:
            found.append(Trace(**json.loads(line)))
        except (TypeError, ValueError):
            continue
    return found


def _tidy(workspace: Workspace, db: Database) -> list[str]:
    said = [f"Repaired: {sentence}" for sentence in recover(workspace, db)]
    move = sync_checkout(workspace, db)
    if move is not None:
        said.append(f"Noticed: {live_name(move.to_version)} was checked out with git; it is live now.")
    return said
