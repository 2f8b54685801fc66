"""What a compute process does with its messages: it answers prompts, and trains whenever none waits."""

from __future__ import annotations

import os
import traceback
from collections import deque
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Self

from engine.bank.training import InnerUpdateBank
from engine.executors.local import LocalExecutor, throttled
from engine.executors.messages import AddJob, Inference, Message, OpenBank, Reply, read, reported, send

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from engine.bank.job import FailedUpdate, InnerJob
    from engine.model.base import BaseModel


@dataclass(slots=True)
class _OpenedBank:
    """A bank's call and the jobs that wait for a slot; iterating ends whenever none waits, and may begin again."""

    opening: OpenBank
    jobs: deque[InnerJob] = field(default_factory=deque)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> InnerJob:
        if not self.jobs:
            raise StopIteration
        return self.jobs.popleft()


class _ClosedError(Exception):
    """Nobody waits for this call any more."""


class ComputeLoop:
    """Answers prompts, and between two answers trains; a bank that trains looks for prompts after each step."""

    def __init__(self, base: BaseModel, connection: Connection, inbox: SimpleQueue[bytes]) -> None:
        self._base, self._connection, self._inbox = base, connection, inbox
        self._local = LocalExecutor(base)
        self._banks: dict[int, _OpenedBank] = {}
        self._inferences: deque[Inference] = deque()

    def work(self) -> None:
        """Work for as long as the executor's process lives."""
        while True:
            opened = next((one for one in self._banks.values() if one.jobs), None)
            self._take_messages(wait=opened is None and not self._inferences)
            self._answer()
            if opened is not None and opened.opening.call in self._banks:
                self._train(opened)

    def _take_messages(self, *, wait: bool) -> None:
        try:
            self._take(read(self._inbox.get(block=wait)))
            while True:
                self._take(read(self._inbox.get_nowait()))
        except Empty:
            return

    def _take(self, message: Message) -> None:
        match message:
            case OpenBank():
                self._banks[message.call] = _OpenedBank(message, deque(message.jobs))
            case AddJob():
                if message.call in self._banks:
                    self._banks[message.call].jobs.append(message.job)
            case Inference():
                self._inferences.append(message)
            case _:
                self._banks.pop(message.call, None)
                self._inferences = deque(one for one in self._inferences if one.call != message.call)

    def _answer(self) -> None:
        while self._inferences:
            asked = self._inferences.popleft()
            try:
                value = getattr(self._local, asked.method)(*asked.arguments, **asked.options)
            except Exception as error:  # noqa: BLE001 - it is raised where the answer was expected
                self._fail(asked.call, error)
            else:
                self._reply(asked.call, "result", value, asked.place)

    def _train(self, opened: _OpenedBank) -> None:
        """Train until no job waits and none is training."""
        opening, call = opened.opening, opened.opening.call

        def on_failed(failed: FailedUpdate) -> None:
            self._reply(call, "failed update", failed)

        try:
            bank = InnerUpdateBank(self._base, opening.spec, opening.slots, preconditioner=opening.preconditioner)
            on_tick = self._between_ticks(bank, call, reports=opening.reports)
            for result in bank.train(opened, on_tick=on_tick, on_failed=on_failed):
                self._reply(call, "result", result)
        except _ClosedError:
            return
        except Exception as error:  # noqa: BLE001 - it is raised where the results were expected
            self._banks.pop(call, None)
            self._fail(call, error)

    def _between_ticks(self, bank: InnerUpdateBank, call: int, *, reports: bool) -> Callable[[int], None]:
        report = throttled(lambda: self._reply(call, "running", bank.running()))

        def on_tick(busy: int) -> None:
            self._take_messages(wait=False)
            self._answer()
            if call not in self._banks:
                raise _ClosedError
            if reports:
                report(busy)

        return on_tick

    def _fail(self, call: int, error: Exception) -> None:
        self._reply(call, "error", reported(error, traceback.format_exc()))

    def _reply(self, call: int, kind: Any, value: Any, place: int = 0) -> None:
        try:
            send(self._connection, Reply(call, kind, value, place))
        except OSError:
            os._exit(0)  # nobody listens
