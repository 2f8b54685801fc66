"""Puts many questions to a judge, a few at a time, and tells what came of each in the order of the questions.

A reply stands in the log of calls as soon as it is there; the same question is put once. Once a judge could not be
reached nothing more is put to it, and what was put before is waited for, so that no answer is lost. Who stops
listening, or is interrupted, ends the requests in flight: their answers are lost.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeAlias

from anyio import CancelScope

from engine.guardrails.judge_question import UnusableReplyError, content_of
from engine.writers.judge_endpoint import JudgeUnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from engine.guardrails.judge_question import JudgeQuestion
    from engine.writers.call_log import CallLog

Outcome: TypeAlias = str | UnusableReplyError | JudgeUnreachableError


class Answers(Protocol):
    """What can be asked; the endpoint of a judge."""

    async def ask(self, question: JudgeQuestion) -> bytes:
        """Return the body of the response; raises JudgeUnreachableError where there is none."""
        ...


class Asker:
    """Asks one judge, `at_once` questions at a time; `on_unreachable` is told the first failure to reach it."""

    def __init__(
        self, endpoint: Answers, log: CallLog, *, at_once: int, on_unreachable: Callable[[JudgeUnreachableError], None]
    ) -> None:
        self._endpoint, self._log, self._at_once = endpoint, log, at_once
        self._on_unreachable = on_unreachable
        self._failure = ""

    def outcomes(self, questions: Sequence[JudgeQuestion]) -> Generator[Outcome, None, None]:
        """Give the text that was replied to each question, or why there is none."""
        with asyncio.Runner() as runner:
            batch = _Batch(self._at_once)
            asked = runner.run(self._begin(questions, batch))
            try:
                for question in questions:
                    outcome = runner.run(_end_of(asked[question.hash]))
                    if isinstance(outcome, JudgeUnreachableError):
                        runner.run(_ends_of(asked.values()))
                    yield outcome
            finally:
                runner.run(batch.end(asked.values()))

    async def _begin(self, questions: Sequence[JudgeQuestion], batch: _Batch) -> dict[str, asyncio.Task[Outcome]]:
        each = {question.hash: question for question in questions}
        return {hashed: asyncio.create_task(self._one(question, batch)) for hashed, question in each.items()}

    async def _one(self, question: JudgeQuestion, batch: _Batch) -> Outcome:
        known = self._log.reply_to(question.hash)
        if known is not None:
            return known
        async with batch.free:
            if self._failure:
                return JudgeUnreachableError(self._failure)
            with batch.in_flight():
                return await self._asked(question)
        return JudgeUnreachableError("Nobody waits for the judge any more.")

    async def _asked(self, question: JudgeQuestion) -> Outcome:
        try:
            reply = content_of(await self._endpoint.ask(question))
        except UnusableReplyError as error:
            self._log.keep_failure(question.hash, str(error))
            return error
        except JudgeUnreachableError as error:
            self._log.keep_failure(question.hash, error.message)
            if not self._failure:
                self._failure = error.message
                self._on_unreachable(error)
            return error
        self._log.keep_reply(question.hash, reply)
        return reply


class _Batch:
    """Questions that are put together: at most so many in flight, and those can be ended.

    They are ended by anyio's scopes. A task that is cancelled over their heads while it connects leaves a coroutine
    behind that complains.
    """

    def __init__(self, at_once: int) -> None:
        self.free = asyncio.Semaphore(at_once)
        self._scopes: set[CancelScope] = set()
        self._ended = False

    @contextmanager
    def in_flight(self) -> Iterator[None]:
        """Let what is in the block be ended; at once where all has been ended already."""
        with CancelScope() as scope:
            self._scopes.add(scope)
            if self._ended:
                scope.cancel()
            try:
                yield
            finally:
                self._scopes.discard(scope)

    async def end(self, tasks: Iterable[asyncio.Task[Outcome]]) -> None:
        self._ended = True
        for scope in self._scopes:
            scope.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _end_of(task: asyncio.Task[Outcome]) -> Outcome:
    await asyncio.wait([task])  # who stops waiting for a task does not cancel it
    return task.result()


async def _ends_of(tasks: Iterable[asyncio.Task[Outcome]]) -> None:
    await asyncio.wait(list(tasks))
