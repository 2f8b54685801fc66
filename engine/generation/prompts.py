"""What a model is asked and what it returns, as plain values. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from engine.domains.domain import StopRule

BatchSize = int | Literal["auto"]


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
    """What a model wrote after a prompt, without surrounding white space, and how many tokens each of them has.

    `cut` is whether the token limit ended it.
    """

    text: str
    prompt_tokens: int
    new_tokens: int
    cut: bool = False


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
