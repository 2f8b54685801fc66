"""What an executor and its compute processes say to each other over a socket that nobody else has.

Messages are pickled. A tensor is its bytes, without shared memory: a container often has 64 MB of that, and a killed
process leaves it behind.
"""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

from store import errors
from store.errors import SealError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from engine.bank.job import InnerJob
    from engine.bank.preconditioner import KroneckerPreconditioner
    from engine.lora.adapter import LoraSpec

_OUT_OF_MEMORY = ("can't allocate memory", "not enough memory")
LESS_MEMORY = "set model.processes, inner_update.slots or exam.batch_size in seal.yaml to less"


@dataclass(frozen=True, slots=True)
class OpenBank:
    """Train these jobs, and those that follow, in a bank of `slots`; `reports` asks for what is training."""

    call: int
    spec: LoraSpec
    preconditioner: KroneckerPreconditioner | None
    slots: int
    jobs: tuple[InnerJob, ...]
    reports: bool


@dataclass(frozen=True, slots=True)
class AddJob:
    """Another job for an open bank."""

    call: int
    job: InnerJob


@dataclass(frozen=True, slots=True)
class Inference:
    """A share of a call of `complete`, `choose` or `measure_divergence`: the method's arguments."""

    call: int
    place: int
    method: Literal["complete", "choose", "measure_divergence"]
    arguments: tuple[Any, ...]
    options: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CloseCall:
    """Nobody waits for the rest of a call."""

    call: int


Message = OpenBank | AddJob | Inference | CloseCall


@dataclass(frozen=True, slots=True)
class Reply:
    """What a process has for a call: a result, an update that failed, the updates that are training, or an error."""

    call: int
    kind: Literal["result", "failed update", "running", "error"]
    value: Any
    place: int = 0


@dataclass(frozen=True, slots=True)
class ReportedError:
    """An error in a compute process; `kind` is its class in `store.errors`, or empty if it was unexpected."""

    kind: str
    message: str
    next_step: str
    problems: tuple[str, ...]

    def error(self) -> Exception:
        """Return the error to raise where the result was expected."""
        kind = getattr(errors, self.kind, None) if self.kind else None
        if kind is None:
            return RuntimeError(f"a compute process failed: {self.message}")
        found: Exception = kind(self.message, next_step=self.next_step, problems=list(self.problems))
        return found


def reported(error: Exception, trace: str) -> ReportedError:
    """Return an error as a value; lack of memory is an expected one."""
    if isinstance(error, SealError):
        kind = next(one.__name__ for one in type(error).__mro__ if one.__module__ == errors.__name__)
        return ReportedError(kind, error.message, error.next_step, tuple(error.problems))
    if isinstance(error, MemoryError) or any(words in str(error) for words in _OUT_OF_MEMORY):
        return ReportedError(SealError.__name__, "A compute process ran out of memory.", LESS_MEMORY, ())
    return ReportedError("", trace, "", ())


def send(connection: Connection, message: Message | Reply) -> None:
    """Send a message; the other side reads it with `read`."""
    content = io.BytesIO()
    _MessagePickler(content, protocol=pickle.HIGHEST_PROTOCOL).dump(message)
    connection.send_bytes(content.getbuffer())


def read(content: bytes) -> Any:
    """Return a message that this program's own process has sent."""
    return pickle.loads(content)  # noqa: S301 - it came over the socket between this process and its own child


class _MessagePickler(pickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        """Turn tensors into bytes."""
        if type(obj) is not torch.Tensor:
            return NotImplemented
        plain = obj.detach().cpu().contiguous()
        return _tensor_from, (bytearray(plain.view(-1).view(torch.uint8).numpy().data), plain.dtype, tuple(plain.shape))


def _tensor_from(content: bytearray, dtype: torch.dtype, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.frombuffer(content, dtype=dtype).view(shape) if content else torch.empty(shape, dtype=dtype)
