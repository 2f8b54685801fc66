"""The port for executors: train these jobs, complete these prompts, wherever the model is.

Jobs, prompts and results are plain values, so a result does not depend on where it was computed, up to the rounding of
floating point. Closing the generator that `train` returns, or an interrupt, stops the work in progress.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from engine.bank.job import FailedUpdate, InnerJob, InnerResult, RunningUpdate
    from engine.bank.preconditioner import KroneckerPreconditioner
    from engine.generation.prompts import BatchSize, ChoicePrompt, Completion, Divergence, TextPrompt
    from engine.generation.sampling import Sampling
    from engine.lora.adapter import Adapter, LoraSpec


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """What tells one base model from another, and how it is prompted."""

    name: str
    fingerprint: str
    precision: str
    uses_chat_template: bool


class Executor(Protocol):
    """Runs training and inference of one base model with many adapters."""

    @property
    def identity(self) -> ModelIdentity:
        """The base model that everything runs on."""
        ...

    def train(
        self,
        jobs: Sequence[InnerJob],
        spec: LoraSpec,
        *,
        preconditioner: KroneckerPreconditioner | None = None,
        on_running: Callable[[list[RunningUpdate]], None] | None = None,
        on_failed: Callable[[FailedUpdate], None] | None = None,
    ) -> Generator[InnerResult, None, None]:
        """Train every job and yield each result as it finishes, in any order.

        `on_running` is called about once a second with what is training. A job whose loss or weights are no longer
        finite is passed to `on_failed` instead of being yielded; without `on_failed` it raises SealError, naming the
        job.
        """
        ...

    def complete(
        self,
        prompts: Sequence[TextPrompt],
        adapters: Sequence[Adapter | None],
        *,
        sampling: Sampling | None = None,
        batch_size: BatchSize = "auto",
    ) -> list[Completion]:
        """Complete the prompts, greedily unless `sampling` is given; returns the completions in the same order.

        None among the adapters is the base alone. Raises WrongUseError if a prompt leaves no room in the window.
        """
        ...

    def choose(self, prompts: Sequence[ChoicePrompt], adapters: Sequence[Adapter | None]) -> list[str]:
        """Return the most likely option of each prompt. Raises WrongUseError, naming the prompt, if it does not fit."""
        ...

    def measure_divergence(self, texts: Sequence[str], adapters: Sequence[Adapter | None]) -> list[Divergence]:
        """Return how far each adapter is from the base on these texts. Raises WrongUseError if no text has a token."""
        ...
