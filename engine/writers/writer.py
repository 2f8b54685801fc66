"""The port for writers: texts for prompts, and who wrote them.

The policy, a teacher, the judge and an auditor are all writers; what their texts mean is up to whoever asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from store.errors import SealError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.generation.sampling import Sampling


class UnreachableError(SealError):
    """A writer's endpoint gave no response that could be read."""


class UnusableReplyError(ValueError):
    """A reply is not usable; the message says why."""


@dataclass(frozen=True, slots=True)
class WritingRequest:
    """One text to write. `instructions` come before the prompt (the system message of a chat endpoint).

    `seed` makes sampling repeatable where the writer can do that; `max_new_tokens` None is the writer's own limit.
    """

    prompt: str
    instructions: str = ""
    max_new_tokens: int | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Writing:
    """What came of one request: the text and its tokens, or the failure that left it empty."""

    text: str
    prompt_tokens: int = 0
    new_tokens: int = 0
    failure: UnreachableError | UnusableReplyError | None = None


class Writer(Protocol):
    """Writes texts."""

    @property
    def identity(self) -> str | None:
        """Who writes, for a candidate's identity: an adapter's hash, None for the base, or endpoint and model."""
        ...

    def write(self, requests: Sequence[WritingRequest], sampling: Sampling | None = None) -> Iterator[Writing]:
        """Yield what came of each request, in their order. Closing the iterator ends the requests in flight."""
        ...
