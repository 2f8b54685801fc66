"""How the work of one call is dealt to compute processes: the longest first, and more to whoever has room.

Nothing here knows processes or sockets. A call is asked what a process gets next, and is given its answer.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, Protocol

from engine.executors.messages import AddJob, Inference, Message, OpenBank, Reply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.bank.job import InnerJob
    from engine.bank.preconditioner import KroneckerPreconditioner
    from engine.lora.adapter import LoraSpec

_UNREAD_PER_SLOT = 2  # results that nobody has taken yet, beyond which no job is dealt


class DealtCall(Protocol):
    """The work of one call. `replies` has what was answered, or the error that ended it."""

    number: int
    replies: SimpleQueue[Reply | Exception]

    def next_for(self, process: int) -> Message | None:
        """Return what a process is sent now; None if it has enough, or nothing is left."""
        ...

    def answered(self, process: int, reply: Reply) -> None:
        """Count what a process has answered."""
        ...


def share_slots(slots: int, processes: int, jobs: int) -> list[int]:
    """Return the slots of each process: as many in all as given, none without a job, their numbers as equal as can be.

    Processes beyond the number of slots or of jobs get none.
    """
    used = min(processes, slots, jobs)
    shares = [slots // used + (place < slots % used) for place in range(used)] if used else []
    most = -(-jobs // used) if used else 0
    return [min(share, most) for share in shares] + [0] * (processes - used)


class DealtTraining:
    """Inner updates: each process has a bank of its own, and gets the next job when one of its slots becomes free.

    While many jobs wait, a process is sent a few ahead, so that no slot waits for the socket. None is dealt while the
    caller has many results to take, each of which may be large.
    """

    def __init__(
        self,
        number: int,
        jobs: Sequence[InnerJob],
        spec: LoraSpec,
        slots: Sequence[int],
        preconditioner: KroneckerPreconditioner | None,
        *,
        reports: bool,
    ) -> None:
        self.number = number
        self.replies: SimpleQueue[Reply | Exception] = SimpleQueue()
        self._spec, self._slots, self._preconditioner, self._reports = spec, slots, preconditioner, reports
        self._waiting = deque(sorted(jobs, key=lambda job: -job.steps))
        self._first = self._first_shares()
        self._held = [0] * len(slots)

    def _first_shares(self) -> list[list[InnerJob] | None]:
        """Fill all slots: the longest job that waits goes to whoever has the fewest steps so far."""
        shares: list[list[InnerJob]] = [[] for _ in self._slots]
        while self._waiting:
            room = [at for at, slots in enumerate(self._slots) if len(shares[at]) < slots]
            if not room:
                break
            least = min(room, key=lambda at: sum(job.steps for job in shares[at]))
            shares[least].append(self._waiting.popleft())
        return [share or None for share in shares]

    def next_for(self, process: int) -> Message | None:
        """Return the opening of a process's bank, then further jobs."""
        first = self._first[process]
        if first is not None:
            self._first[process] = None
            self._held[process] = len(first)
            return OpenBank(
                self.number, self._spec, self._preconditioner, self._slots[process], tuple(first), self._reports
            )
        slots, working = self._slots[process], sum(slots > 0 for slots in self._slots)
        ahead = min(slots, len(self._waiting) // (4 * working)) if working else 0
        unread = self.replies.qsize() >= _UNREAD_PER_SLOT * sum(self._slots)
        if not self._waiting or unread or self._held[process] >= slots + ahead:
            return None
        self._held[process] += 1
        return AddJob(self.number, self._waiting.popleft())

    def answered(self, process: int, reply: Reply) -> None:
        """Count a job that has ended."""
        if reply.kind in {"result", "failed update"}:
            self._held[process] -= 1


@dataclass
class DealtInference:
    """Shares of prompts or texts: a process gets the next when it has answered the last."""

    number: int
    waiting: deque[Inference]
    replies: SimpleQueue[Reply | Exception] = field(default_factory=SimpleQueue)
    _busy: set[int] = field(default_factory=set)

    def next_for(self, process: int) -> Message | None:
        """Return the next share for a process that has none."""
        if process in self._busy or not self.waiting:
            return None
        self._busy.add(process)
        return self.waiting.popleft()

    def answered(self, process: int, reply: Reply) -> None:  # noqa: ARG002 - the port's
        """Count a share that was answered."""
        self._busy.discard(process)
