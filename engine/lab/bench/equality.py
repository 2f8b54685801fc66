"""How far apart the adapters of two methods are: in their weights, and in the base's answers under them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from engine.bank.stack import stack_of
from engine.model.attention import packed_sequences
from engine.model.token_layout import lay_out

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.bank.job import InnerJob
    from engine.lora.adapter import Adapter
    from engine.model.base import BaseModel


def compare_adapters(
    base: BaseModel, jobs: Sequence[InnerJob], mine: Mapping[str, Adapter], theirs: Mapping[str, Adapter]
) -> dict[str, Any]:
    """Compare the adapters of all jobs; logits are those on the last sequence (the passage) of each job."""
    gaps, logits, largest = [], [], []
    for job in jobs:
        one, other = mine[job.key], theirs[job.key]
        gaps.append(distance(one, other) / max(distance(other, job.start), 1e-30))
        first, second = _logits(base, [one, other], job.sequences[-1].tokens)
        logits.append(float((first - second).abs().max()))
        largest.append(float(second.abs().max()))
    return {
        "compared": len(gaps),
        "largest_relative_weight_gap": max(gaps),
        "largest_logit_difference": max(logits),
        "largest_logit": max(largest),
    }


def distance(one: Adapter, other: Adapter) -> float:
    """Return the Euclidean distance between all weights of two adapters of one shape."""
    pairs = [pair for name in one.weights for pair in zip(one.weights[name], other.weights[name], strict=True)]
    return math.sqrt(sum(float((left - right).double().square().sum()) for left, right in pairs))


@torch.inference_mode()
def _logits(base: BaseModel, adapters: list[Adapter], tokens: Sequence[int]) -> list[torch.Tensor]:
    """Return the logits [tokens, vocabulary] of one sequence under each adapter."""
    stack = stack_of(adapters, adapters[0].spec, base.device)
    grouping = lay_out([len(tokens)] * len(adapters), base.device)
    packed = torch.tensor([list(tokens) * len(adapters)], device=base.device)
    positions = torch.arange(len(tokens), device=base.device).repeat(len(adapters))[None]
    matrices, scaling = stack.first(len(adapters)), stack.spec.scaling
    with base.switch.on(matrices, grouping, scaling, training=False), packed_sequences(grouping):
        logits = base.model(input_ids=packed, position_ids=positions, use_cache=False).logits[0]
    return list(logits.float().split(len(tokens)))
