"""The inner updates that every method trains: self-edits in all styles about new things, as compiled by the engine."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.bank.job import InnerJob, Recipe, TrainingSequence
from engine.bundled.world import new_things
from engine.bundled.writing import STYLES, passage_about, self_edit
from engine.domains.knowledge.compile import compile_sequences
from engine.lora.adapter import LoraSpec, fresh_adapter

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from engine.model.base import BaseModel

RECIPE = Recipe(epochs=10, learning_rate=2e-3, schedule="linear", batch_size=1, max_grad_norm=1.0)


@dataclass(frozen=True, slots=True)
class Subject:
    """The base and the shape of the adapters, for methods that load the base themselves."""

    folder: Path
    device: torch.device
    precision: torch.dtype
    spec: LoraSpec
    window_tokens: int
    padding_token: int


@dataclass(frozen=True, slots=True)
class RoundTiming:
    """What one method did in one round, and how long it took.

    `train_s` is the part of `seconds` spent in optimiser steps, without the overhead of each update. `tokens` counts
    real tokens, not padding. `busy_share` is the share of adapter slots that were busy.
    """

    updates: int
    steps: int
    tokens: int
    seconds: float
    train_s: float
    busy_share: float


def bench_jobs(
    base: BaseModel, spec: LoraSpec, *, updates: int, seed: int, epochs: int = RECIPE.epochs
) -> list[InnerJob]:
    """Make jobs that depend only on the seed and the tokenizer."""
    rng = random.Random(f"bench {seed}")
    jobs = []
    for number, thing in enumerate(new_things(updates, seed)):
        passage = passage_about(thing, rng)
        edit = self_edit(passage, rng.choice(STYLES), rng)
        texts = compile_sequences(edit, title=passage.title, context=passage.text)
        sequences = tuple(TrainingSequence(tuple(base.encoder.training(text))) for text in texts)
        recipe = replace(RECIPE, epochs=epochs)
        jobs.append(InnerJob(f"update {number}", sequences, recipe, seed + number, fresh_adapter(spec, seed + number)))
    return jobs


def described_jobs(jobs: list[InnerJob]) -> dict[str, float]:
    """Return how much work the jobs are."""
    lengths = [len(sequence.tokens) for job in jobs for sequence in job.sequences]
    return {
        "updates": len(jobs),
        "sequences": len(lengths),
        "steps": sum(job.steps for job in jobs),
        "tokens": sum(job.recipe.epochs * sum(len(one.tokens) for one in job.sequences) for job in jobs),
        "mean_tokens_per_sequence": sum(lengths) / len(lengths),
        "longest_sequence_tokens": max(lengths),
    }
