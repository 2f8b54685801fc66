"""One inner update as a job: what it trains on, in which order, at which rate."""

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
    """Tokens that may stand in one place, and how likely each is there; the probabilities sum to one."""

    tokens: tuple[int, ...]
    probabilities: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class TrainingSequence:
    """Token ids of one sequence; tokens from `learnt_from` on count in the loss (the first token never does).

    With `last` only the last place is learnt, and in place of its token what is likely there.
    """

    tokens: tuple[int, ...]
    learnt_from: int = 1
    last: SoftTarget | None = None

    @property
    def fed(self) -> int:
        """How many tokens the model is given: all but the last, after which nothing is asked."""
        return len(self.tokens) - 1

    @property
    def first_learnt(self) -> int:
        """Index of the first token that is learnt."""
        return max(1, self.learnt_from) if self.last is None else self.fed


@dataclass(frozen=True, slots=True)
class Recipe:
    """Hyperparameters of one inner update: AdamW (0.9, 0.999, 1e-8), clipping by the adapter's own gradient norm.

    At the end changes are taken back that are smaller than `trimmed` times the root mean square of their matrix.
    """

    epochs: int = 10
    learning_rate: float = 1e-3
    schedule: Schedule = "linear"
    batch_size: int = 1
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    trimmed: float = 0.0


@dataclass(frozen=True, slots=True)
class ReplayGroup:
    """Sequences trained beside a job's own, so that they are not forgotten: `each_step` of them.

    They take turns in their order, over and over, from the one at `first` on: what is not trained beside an update is
    what the update makes the model forget. Half a sequence each step is one every other step. Their mean loss counts
    `weight` times as much as that of the job's own, in the steps that have any.
    """

    sequences: tuple[TrainingSequence, ...]
    each_step: float
    weight: float = 1.0
    first: int = 0

    def beside(self, step: int) -> list[int]:
        """Indices of those of a step (counted from 0), none of them twice."""
        count = len(self.sequences)
        each = min(self.each_step, count)
        before, after = (math.floor(steps * each + _ROUNDING) for steps in (step, step + 1))
        return [(self.first + place) % count for place in range(before, after)]


@dataclass(frozen=True, slots=True)
class InnerJob:
    """An inner update to do: sequences, recipe, the seed of their order, and the adapter that it starts from."""

    key: str
    sequences: tuple[TrainingSequence, ...]
    recipe: Recipe
    seed: int
    start: Adapter
    companions: tuple[ReplayGroup, ...] = ()

    @property
    def steps(self) -> int:
        """Optimiser steps in the whole job."""
        return steps_of(self.recipe, len(self.sequences))


@dataclass(frozen=True, slots=True)
class InnerResult:
    """A finished inner update; `tokens` counts real tokens, companions among them.

    `losses` has the mean loss of each step over the job's own sequences, nats per token.
    """

    key: str
    adapter: Adapter
    losses: list[float]
    steps: int
    tokens: int
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class RunningUpdate:
    """An inner update that is not finished: `step` of `steps` done, and losses from its first step to its newest.

    The losses are in nats per token, a few at equal distances; those that are not finite are left out.
    """

    key: str
    slot: int
    step: int
    steps: int
    losses: list[float]


def spread_points(count: int, most: int) -> list[int]:
    """Return at most `most` of the indices 0 … count − 1 at equal distances, the first and the last among them."""
    if count <= most:
        return list(range(count))
    return [round(index * (count - 1) / (most - 1)) for index in range(most)]


def training_order(job: InnerJob) -> list[list[int]]:
    """Indices of the sequences of each step: every epoch a new permutation from the job's seed, cut into batches."""
    generator = torch.Generator().manual_seed(job.seed)
    size = job.recipe.batch_size
    order = []
    for _ in range(job.recipe.epochs):
        shuffled: list[int] = torch.randperm(len(job.sequences), generator=generator).tolist()
        order += [shuffled[at : at + size] for at in range(0, len(shuffled), size)]
    return order


def steps_of(recipe: Recipe, sequences: int) -> int:
    """Optimiser steps of an inner update on so many sequences."""
    return recipe.epochs * math.ceil(sequences / recipe.batch_size)


def rate_at(step: int, steps: int, recipe: Recipe) -> float:
    """Learning rate of a step (counted from 0): linear and cosine decay reach zero after the last one."""
    progress = step / max(1, steps)
    factor = {"constant": 1.0, "linear": 1.0 - progress, "cosine": 0.5 * (1.0 + math.cos(math.pi * progress))}
    return recipe.learning_rate * factor[recipe.schedule]
