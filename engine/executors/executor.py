"""The port for executors: train these jobs, complete these prompts, wherever the model is.

Jobs, prompts and results are plain values, so a result does not depend on where it was computed, up to the rounding of
floating point. Closing the iterator that `train` returns, or an interrupt, stops the work in progress.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from engine.bank.job import InnerJob, InnerResult, RunningUpdate
    from engine.bank.preconditioner import KroneckerPreconditioner
    from engine.domains.domain import StopRule
    from engine.generation.sampling import Sampling
    from engine.lora.adapter import Adapter, LoraSpec

BatchSize = int | Literal["auto"]


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """What tells one base model from another, and how it is prompted."""

    name: str
    fingerprint: str
    precision: str
    uses_chat_template: bool


@dataclass(frozen=True, slots=True)
class TextPrompt:
    """A prompt for one adapter, given as its index into the adapters that are handed over with it.

    A `raw` prompt is continued as it is; others go through the chat template if the model has one. `seed` only matters
    when sampling.
    """

    text: str
    adapter: int
    max_new_tokens: int
    stop: StopRule = "line"
    raw: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model wrote after a prompt, without surrounding white space, and how many tokens each of them has."""

    text: str
    prompt_tokens: int
    new_tokens: int


@dataclass(frozen=True, slots=True)
class ChoicePrompt:
    """A raw prompt with the continuations to choose from; the option with the highest log-likelihood is the answer.

    `delimiter` joins prompt and option. With `per_character` each log-likelihood is divided by the option's length.
    `place` names the prompt in error messages.
    """

    text: str
    options: tuple[str, ...]
    delimiter: str
    per_character: bool
    adapter: int
    place: str


@dataclass(frozen=True, slots=True)
class Divergence:
    """KL(base ‖ adapted) of the next token over `tokens` positions, in nats per token: its mean and its maximum."""

    mean_kl: float
    worst_kl: float
    tokens: int


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
    ) -> Iterator[InnerResult]:
        """Train every job and yield each result as it finishes, in any order.

        `on_running` is called about once a second with what is training. Raises SealError, naming the job, if a loss or
        a weight is no longer finite.
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
