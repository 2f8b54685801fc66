"""The writer behind an OpenAI-compatible endpoint: several requests in flight, answers in the order of the requests.

A reply is in the log of calls as soon as it arrives, and the same request is sent only once. After the first request
that cannot be answered for want of a connection no further one is sent; those in flight are waited for, so no answer is
lost. Whoever stops iterating, or is interrupted, cancels the requests in flight: their answers are lost.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio

from engine.writers.writer import UnreachableError, UnusableReplyError, Writing
from store.hashing import hash_json

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from engine.generation.sampling import Sampling
    from engine.writers.call_log import CallLog
    from engine.writers.chat_endpoint import ChatCall
    from engine.writers.writer import WritingRequest


class OpenAICompatibleWriter:
    """Writes with one model behind an endpoint, `at_once` requests at a time.

    `on_unreachable` is called once, with the first failure to reach the endpoint.
    """

    def __init__(
        self,
        endpoint: ChatCall,
        log: CallLog,
        *,
        at_once: int = 4,
        on_unreachable: Callable[[UnreachableError], None] = lambda _: None,
    ) -> None:
        self._endpoint, self._log = endpoint, log
        self._at_once, self._on_unreachable = at_once, on_unreachable
        self._failure: UnreachableError | None = None

    @property
    def identity(self) -> str:
        """The model and its endpoint."""
        return f"{self._endpoint.model} at {self._endpoint.url}"

    def write(
        self, requests: Sequence[WritingRequest], sampling: Sampling | None = None
    ) -> Generator[Writing, None, None]:
        """Yield what came of each request, in their order; failures are in `Writing.failure`."""
        hashes = [self.request_hash(one, sampling) for one in requests]
        known = {hashed: Writing(reply) for hashed in hashes if (reply := self._log.reply_to(hashed)) is not None}
        new = {hashed: one for hashed, one in zip(hashes, requests, strict=True) if hashed not in known}
        if not new:
            yield from (known[hashed] for hashed in hashes)
            return
        calls = _BackgroundCalls(lambda calls: self._run(calls, new, sampling), new)
        try:
            for hashed in hashes:
                yield known[hashed] if hashed in known else calls.outcomes[hashed].result()
        finally:
            calls.end()

    def request_hash(self, request: WritingRequest, sampling: Sampling | None = None) -> str:
        """Return the hash of all that a reply may depend on, under which it is found again in the log of calls."""
        parts: list[Any] = [self._endpoint.model, request.instructions, request.prompt]
        if sampling is not None or request.max_new_tokens is not None:
            drawn = None if sampling is None else [sampling.temperature, sampling.top_p, request.seed]
            parts += [drawn, request.max_new_tokens]
        return hash_json(parts)

    async def _run(
        self, calls: _BackgroundCalls, requests: dict[str, WritingRequest], sampling: Sampling | None
    ) -> None:
        free = anyio.Semaphore(self._at_once)

        async def one(hashed: str, request: WritingRequest) -> None:
            async with free:
                calls.outcomes[hashed].set_result(await self._outcome(hashed, request, sampling))

        async with self._endpoint, anyio.create_task_group() as group:
            calls.cancel = group.cancel_scope.cancel
            for hashed, request in requests.items():
                group.start_soon(one, hashed, request)

    async def _outcome(self, hashed: str, request: WritingRequest, sampling: Sampling | None) -> Writing:
        if self._failure is not None:
            return Writing("", failure=self._failure)
        try:
            writing = await self._endpoint.complete(request, sampling)
        except UnusableReplyError as error:
            self._log.keep_failure(hashed, str(error))
            return Writing("", failure=error)
        except UnreachableError as error:
            self._log.keep_failure(hashed, error.message)
            if self._failure is None:
                self._failure = error
                self._on_unreachable(error)
            return Writing("", failure=error)
        self._log.keep_reply(hashed, writing.text)
        return writing


class _BackgroundCalls:
    """An event loop in a thread of its own, and the outcomes that it will bring about.

    Everything is cancelled through anyio's scope: a task that asyncio cancels while it connects leaves a coroutine
    behind that is never awaited.
    """

    def __init__(self, run: Callable[[_BackgroundCalls], Any], keys: Sequence[str] | dict[str, Any]) -> None:
        self.outcomes: dict[str, Future[Writing]] = {key: Future() for key in keys}
        self.cancel: Callable[[], None] | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._work, args=(run,), daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Cancel what is still in flight, and wait until the loop has ended."""

        def cancel() -> None:
            if self.cancel is not None:
                self.cancel()

        with suppress(RuntimeError):  # the loop has ended by itself
            self._loop.call_soon_threadsafe(cancel)
        self._thread.join()

    def _work(self, run: Callable[[_BackgroundCalls], Any]) -> None:
        try:
            self._loop.run_until_complete(run(self))
        except BaseException as error:  # noqa: BLE001 - it is raised again where the outcome is awaited
            for outcome in self.outcomes.values():
                if not outcome.done():
                    outcome.set_exception(error)
        finally:
            self._loop.close()
