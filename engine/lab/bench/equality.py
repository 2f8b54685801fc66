"""How far apart the adapters of two methods are: in their weights, and in the base's answers under them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from engine.bank.packed import packed_logits

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
        first, second = packed_logits(base, [one, other], [job.sequences[-1].tokens] * 2)
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
