"""Compute processes over one base, and the thread that deals work to them.

Only that thread writes to and reads from the processes, so an interrupt of the main thread cannot cut a message in two.
They start with the first call and end with `close`, with this process however it ends, or with the first of them that
dies: its work is lost, so every call fails. The next call starts new ones.
"""

from __future__ import annotations

import atexit
import math
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count
from multiprocessing.connection import Connection, Pipe, wait
from typing import TYPE_CHECKING, Any, Self

from engine.executors.messages import LESS_MEMORY, CloseCall, Reply, read, send
from engine.executors.shared_base import SharedBase
from engine.runtime.child_environment import child_environment
from store.errors import SealError, WrongUseError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from queue import SimpleQueue

    from engine.executors.dealing import DealtCall
    from engine.model.base import BaseModel

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_END_WITHIN_S = 10.0
_BETWEEN_LOOKS_S = 0.01


@dataclass(slots=True)
class _Started:
    """A process and this side of its socket."""

    child: subprocess.Popen[bytes]
    connection: Connection

    def kill(self) -> None:
        self.child.kill()
        self.child.wait()


class ProcessPool:
    """`size` compute processes of one thread each. Close it, or use it as a context."""

    def __init__(self, base: BaseModel, size: int, *, least_work: float = 0.0) -> None:
        """Processes start only when `least_work` floating-point operations have been asked for in all."""
        self.size = size
        self._base, self._least_work, self._work = base, least_work, 0.0
        self._shared: SharedBase | None = None
        self._started: list[_Started] = []
        self._thread: threading.Thread | None = None
        self._wakeup: tuple[int, int] | None = None
        self._lock = threading.Lock()  # guards the calls, and whether the thread still looks at them
        self._calls: dict[int, DealtCall] = {}
        self._ended: list[int] = []
        self._numbers = count(1)
        self._deals = self._closing = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def process_ids(self) -> list[int]:
        """The ids of the processes that have been started."""
        return [one.child.pid for one in self._started]

    def is_worth(self, operations: float) -> bool:
        """Count work that is asked for; return whether the processes are to do it.

        Raises WrongUseError if the base cannot be shared, unless processes are only for much work: then they never are.
        """
        self._work += operations
        if self._shared is None and self._work >= self._least_work:
            try:
                self._shared = SharedBase(self._base)
            except (pickle.PicklingError, TypeError, AttributeError, OSError) as error:
                if not self._least_work:
                    raise WrongUseError(
                        f"model.processes: this model cannot be shared between processes: {error}",
                        next_step="set model.processes: 1 in seal.yaml",
                    ) from error
                self._least_work = math.inf
        return self._shared is not None

    def next_number(self) -> int:
        """Return the number of a new call."""
        return next(self._numbers)

    @contextmanager
    def dealing(self, call: DealtCall) -> Iterator[SimpleQueue[Reply | Exception]]:
        """Deal a call's work while the block runs; gives the queue of what is answered."""
        self._open(call)
        try:
            yield call.replies
        finally:
            self._close(call)

    def wake(self) -> None:
        """Let the dealing thread look again at what every call has left."""
        if self._wakeup is not None:
            with suppress(OSError):
                os.write(self._wakeup[1], b"w")

    def close(self) -> None:
        """End all processes."""
        self._stop()
        if self._shared is not None:
            self._shared.close()
            self._shared = None

    def _stop(self) -> None:
        self._closing = True
        for one in self._started:
            one.kill()
        self.wake()
        if self._thread is not None:
            self._thread.join()
        for one in self._started:
            one.connection.close()
        for descriptor in self._wakeup or ():
            os.close(descriptor)
        self._started, self._thread, self._wakeup = [], None, None
        self._deals = self._closing = False
        atexit.unregister(self.close)

    def _open(self, call: DealtCall) -> None:
        with self._lock:
            started = self._deals
            if started:
                self._calls[call.number] = call
        if not started:
            self._stop()
            self._calls[call.number] = call
            self._start(self._shared or SharedBase(self._base))
        self.wake()

    def _close(self, call: DealtCall) -> None:
        with self._lock:
            self._calls.pop(call.number, None)
            self._ended.append(call.number)
        self.wake()

    def _start(self, shared: SharedBase) -> None:
        atexit.register(self.close)
        self._shared = shared
        self._wakeup = os.pipe()
        os.set_blocking(self._wakeup[1], False)
        for _ in range(self.size):
            here, there = Pipe()
            descriptors = (there.fileno(), shared.descriptor)
            command = [sys.executable, "-P", "-m", "engine.executors.compute_process", *map(str, descriptors)]
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=descriptors,
                env={**child_environment(), **_ONE_THREAD},
            )
            self._started.append(_Started(child, here))
            there.close()
        self._deals = True
        self._thread = threading.Thread(target=self._deal_until_closed, name="compute processes", daemon=True)
        self._thread.start()

    def _deal_until_closed(self) -> None:
        try:
            for one in self._started:
                one.connection.send_bytes(self._shared.pickled if self._shared else b"")
            while not self._closing:
                self._deal()
                self._listen()
        except (EOFError, OSError):
            self._end(_death(self._started))
        except Exception as error:  # noqa: BLE001 - it is raised in whoever waits for an answer
            self._end(error)
        else:
            self._end(SealError("The engine's compute processes were closed."))

    def _deal(self) -> None:
        with self._lock:
            calls, ended, self._ended = list(self._calls.values()), self._ended, []
        for number in ended:
            for one in self._started:
                send(one.connection, CloseCall(number))
        for call in calls:
            for place, one in enumerate(self._started):
                while (message := call.next_for(place)) is not None:
                    send(one.connection, message)

    def _listen(self) -> None:
        """Wait for replies, or for something new to deal."""
        assert self._wakeup is not None  # noqa: S101 - it is open while the thread runs
        sources: dict[Any, int] = {one.connection: place for place, one in enumerate(self._started)}
        for ready in wait([*sources, self._wakeup[0]]):
            if isinstance(ready, Connection):
                self._take(sources[ready], read(ready.recv_bytes()))
            else:
                os.read(self._wakeup[0], 4096)

    def _take(self, place: int, reply: Reply) -> None:
        with self._lock:
            call = self._calls.get(reply.call)
        if call is None:
            return
        call.answered(place, reply)
        if reply.kind == "error":
            call.replies.put(reply.value.error())
        else:
            call.replies.put(replace(reply, place=place) if reply.kind == "running" else reply)

    def _end(self, error: Exception) -> None:
        for one in self._started:
            one.kill()
        with self._lock:
            self._deals = False
            calls, self._calls = list(self._calls.values()), {}
        for call in calls:
            call.replies.put(error)


def _death(started: list[_Started]) -> SealError:
    """Return what became of the first process that ended; its socket ends a moment before it."""
    deadline = time.monotonic() + _END_WITHIN_S
    while all(one.child.poll() is None for one in started) and time.monotonic() < deadline:
        time.sleep(_BETWEEN_LOOKS_S)
    codes = [code for one in started if (code := one.child.poll()) is not None]
    code = next((code for code in codes if code), 0)
    name = signal.Signals(-code).name if -code in set(signal.Signals) else ""
    how = f"was killed by {name}" if name else f"ended with exit code {code}"
    memory = " (often the system, when memory runs out)" if code == -signal.SIGKILL else ""
    return SealError(
        f"A compute process of the engine {how}{memory}.",
        next_step=f"Try again; if memory runs out, {LESS_MEMORY}. model.processes: 1 needs the least.",
    )
