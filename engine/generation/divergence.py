"""How far an adapter moves the model's next-token distributions away from the base on given texts.

KL(base ‖ adapted) at every position of every text, in nats. The base runs once for each chunk of texts, then each
adapter in turn, so memory holds the log-probabilities of one chunk under two models. Texts longer than the window lose
their end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from engine.generation.likelihoods import TOKENS_PER_CHUNK, Span, chunks, log_probabilities
from engine.generation.prompts import Divergence
from store.errors import WrongUseError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.lora.adapter import Adapter
    from engine.model.base import BaseModel


@dataclass(slots=True)
class _RunningSum:
    """KL added up over chunks, in nats."""

    total: float = 0.0
    worst: float = 0.0
    tokens: int = 0


@torch.inference_mode()
def measure_divergence(base: BaseModel, texts: Sequence[str], adapters: Sequence[Adapter | None]) -> list[Divergence]:
    """Return the divergence of each adapter. Raises WrongUseError if the texts have no token of this model."""
    spans = [Span(tuple(tokens)) for text in texts if (tokens := base.encoder.start(text)[: base.window_tokens])]
    if not spans:
        raise WrongUseError("the anchors have no token of this model", next_step="seal-console retention check")
    sums = [_RunningSum() for _ in adapters]
    for chunk in chunks(base, spans, TOKENS_PER_CHUNK):
        before = log_probabilities(base, chunk, None)
        for one, adapter in zip(sums, adapters, strict=True):
            after = before if adapter is None else log_probabilities(base, chunk, adapter)
            divergence = (before.exp() * (before - after)).sum(dim=-1).clamp_(min=0.0)
            one.total += float(divergence.double().sum())
            one.worst = max(one.worst, float(divergence.max()))
            one.tokens += divergence.numel()
    return [Divergence(one.total / one.tokens, one.worst, one.tokens) for one in sums]
