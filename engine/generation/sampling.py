"""Choice of the next token: greedy, or nucleus sampling whose result does not depend on the rest of the batch.

Every request brings its own stream of uniform numbers, drawn from its own seed. Each token is found by inverting the
cumulative distribution at the next of them (Holtzman et al. 2019, arXiv 1904.09751, for the nucleus).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Sampling:
    """Temperature 0 is greedy; `top_p` is the share of probability in the nucleus."""

    temperature: float = 0.0
    top_p: float = 1.0


GREEDY = Sampling()


def uniform_numbers(seeds: Sequence[int], count: int, device: torch.device) -> torch.Tensor:
    """Return [requests, count] numbers in [0, 1); row i depends on seeds[i] only."""
    rows = [torch.rand(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) for seed in seeds]
    return torch.stack(rows).to(device)


def choose_tokens(logits: torch.Tensor, sampling: Sampling, uniform: torch.Tensor | None) -> torch.Tensor:
    """Choose a token for each row: logits [rows, vocabulary], uniform [rows], result [rows]."""
    if sampling.temperature == 0.0 or uniform is None:
        return logits.argmax(dim=-1)
    probabilities = torch.softmax(logits.double() / sampling.temperature, dim=-1)
    ordered, tokens = probabilities.sort(dim=-1, descending=True, stable=True)
    outside = ordered.cumsum(dim=-1) - ordered >= sampling.top_p
    # Cumulated in vocabulary order: in order of probability, rounding could swap tokens of almost equal rank.
    nucleus = probabilities.masked_fill(torch.empty_like(outside).scatter_(1, tokens, outside), 0.0)
    cumulated = nucleus.cumsum(dim=-1)
    chosen = torch.searchsorted(cumulated, uniform[:, None] * cumulated[:, -1:], right=True)
    return chosen.clamp_(max=logits.shape[-1] - 1)[:, 0]
