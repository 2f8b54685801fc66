"""Reads the store for the console: long queries in a thread of their own, rows in view at once.

Both connections can only read. SQLite connections stay in the thread that opened them; readers never wait for writers
(WAL), so the rows in view, found by their primary key, are read in the console's own thread without a flicker.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from store.database import open_to_read

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlite_utils import Database

T = TypeVar("T")


class StoreReader:
    """Two connections to one seal.db."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="store-reader")
        self._theirs: Database | None = None
        self._mine: Database | None = None
        self._closed = False
        self.ready = asyncio.Event()  # set when the file exists and has this program's schema

    async def read(self, query: Callable[[Database], T]) -> T:
        """Run a query in the reader's thread; a call after `close` is cancelled."""
        await self.ready.wait()
        if self._closed:
            raise asyncio.CancelledError
        return await asyncio.wrap_future(self._executor.submit(self._run, query))

    def read_now(self, query: Callable[[Database], T]) -> T:
        """Run a query here; only for rows that are found by their primary key."""
        if self._mine is None:
            self._mine = open_to_read(self._path)
        return query(self._mine)

    async def close(self) -> None:
        """Stop the query that runs, if any, and close both connections."""
        if self._closed:
            return
        self._closed = True
        if self._mine is not None:
            self._mine.conn.close()
            self._mine = None
        if self._theirs is not None:
            self._theirs.conn.interrupt()
        self._executor.submit(self._close_theirs)
        await asyncio.to_thread(self._executor.shutdown)

    def _run(self, query: Callable[[Database], T]) -> T:
        if self._theirs is None:
            self._theirs = open_to_read(self._path)
        return query(self._theirs)

    def _close_theirs(self) -> None:
        if self._theirs is not None:
            self._theirs.conn.close()
            self._theirs = None
