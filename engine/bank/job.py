"""One inner update as a job: what it trains on, in which order, at which rate. Jobs and results are plain values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

if TYPE_CHECKING:
    from engine.lora.adapter import Adapter

Schedule = Literal["linear", "cosine", "constant"]
_ROUNDING = 1e-9  # what a product of steps may fall short by


@dataclass(frozen=True, slots=True)
class SoftTarget:
    """A distribution over the tokens at one position; the probabilities sum to one."""

    tokens: tuple[int, ...]
    probabilities: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class TrainingSequence:
    """Token ids of one sequence and its loss mask: tokens from `loss_start` on count in the loss, the first never does.

    With a `soft_target` only the last position counts, and its target is that distribution instead of the token.
    """

    tokens: tuple[int, ...]
    loss_start: int = 1
    soft_target: SoftTarget | None = None

    @property
    def input_length(self) -> int:
        """How many tokens the model is given: all except the last, after which nothing is predicted."""
        return len(self.tokens) - 1

    @property
    def first_target(self) -> int:
        """Index of the first token that counts in the loss."""
        return max(1, self.loss_start) if self.soft_target is None else self.input_length


@dataclass(frozen=True, slots=True)
class Recipe:
    """Hyperparameters of one inner update: AdamW (0.9, 0.999, 1e-8), clipping by the adapter's own gradient norm.

    At the end, changes smaller than `trim_below` times the root mean square of their matrix are undone.
    """

    epochs: int = 10
    learning_rate: float = 1e-3
    schedule: Schedule = "linear"
    batch_size: int = 1
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    trim_below: float = 0.0


@dataclass(frozen=True, slots=True)
class ReplayGroup:
    """Rehearsal sequences: `per_step` of them are mixed into each step of a job, so that they are not forgotten.

    They take turns in their order, starting at `first`; half a sequence per step is one every other step. In steps that
    have any, their mean loss counts `weight` times as much as that of the job's own sequences.
    """

    sequences: tuple[TrainingSequence, ...]
    per_step: float
    weight: float = 1.0
    first: int = 0

    def indices_at(self, step: int) -> list[int]:
        """Return the indices of the sequences of a step (counted from 0), none of them twice."""
        count = len(self.sequences)
        each = min(self.per_step, count)
        start, end = (math.floor(steps * each + _ROUNDING) for steps in (step, step + 1))
        return [(self.first + place) % count for place in range(start, end)]


@dataclass(frozen=True, slots=True)
class InnerJob:
    """An inner update to train: sequences, recipe, the seed of their order, and the adapter that it starts from.

    `key` and `repeat` say whose update it is; the result carries them, and the seed, unchanged.
    """

    key: str
    sequences: tuple[TrainingSequence, ...]
    recipe: Recipe
    seed: int
    start: Adapter
    replay_groups: tuple[ReplayGroup, ...] = ()
    repeat: int = 0

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole job."""
        return steps_of(self.recipe, len(self.sequences))


@dataclass(frozen=True, slots=True)
class InnerResult:
    """A finished inner update; `tokens` counts real tokens, replayed ones included.

    `losses` has the mean loss of each step over the job's own sequences, in nats per token.
    """

    key: str
    adapter: Adapter
    losses: list[float]
    steps: int
    tokens: int
    elapsed_s: float
    seed: int
    repeat: int = 0


@dataclass(frozen=True, slots=True)
class RunningUpdate:
    """An inner update that is training: `step` of `steps` done, and losses from its first step to the newest.

    The losses are in nats per token, a few at equal distances; those that are not finite are left out.
    """

    key: str
    slot: int
    step: int
    steps: int
    losses: list[float]
    repeat: int = 0


@dataclass(frozen=True, slots=True)
class FailedUpdate:
    """An inner update that diverged: a loss or a weight is no longer finite after its training.

    `bad_step` (counted from 1) is the first one whose loss was not finite, None if only the weights are not;
    `last_loss` is the last finite one before it, in nats per token.
    """

    key: str
    repeat: int
    steps: int
    bad_step: int | None
    last_loss: float | None


def spread_points(count: int, limit: int) -> list[int]:
    """Return at most `limit` of the indices 0 … count − 1 at equal distances, the first and the last included."""
    if count <= limit:
        return list(range(count))
    return [round(index * (count - 1) / (limit - 1)) for index in range(limit)]


def training_order(job: InnerJob) -> list[list[int]]:
    """Return the sequence indices of each step: every epoch a new permutation from the job's seed, cut into batches."""
    generator = torch.Generator().manual_seed(job.seed)
    size = job.recipe.batch_size
    order = []
    for _ in range(job.recipe.epochs):
        shuffled: list[int] = torch.randperm(len(job.sequences), generator=generator).tolist()
        order += [shuffled[at : at + size] for at in range(0, len(shuffled), size)]
    return order


def steps_of(recipe: Recipe, sequences: int) -> int:
    """Return the optimiser steps of an inner update on that many sequences."""
    return recipe.epochs * math.ceil(sequences / recipe.batch_size)


def rate_at(step: int, steps: int, recipe: Recipe) -> float:
    """Return the learning rate of a step (counted from 0); linear and cosine decay reach zero after the last one."""
    progress = step / max(1, steps)
    factor = {"constant": 1.0, "linear": 1.0 - progress, "cosine": 0.5 * (1.0 + math.cos(math.pi * progress))}
    return recipe.learning_rate * factor[recipe.schedule]
