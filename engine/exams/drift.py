"""How far an adapter moves the model's likelihoods away from the base on anchor texts, whatever is asked of it.

KL(base ‖ adapted) of the next token, in nats, at every position of every anchor: its mean and its highest value. The
base runs once for a chunk of anchors, then each adapter in turn; memory holds the log-probabilities of one chunk under
two models, so it is bounded by the chunk and by the longest anchor. Anchors longer than the window lose their end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from engine.exams.likelihoods import TOKENS_AT_ONCE, Span, chunks, log_probabilities
from store.clock import utc_now
from store.errors import WrongUseError
from store.hashing import hash_json
from store.records import Drift
from store.retention import measured_drift, record_drift

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.exams.recorded import ModelRef
    from engine.lora.adapter import Adapter
    from engine.model.base import BaseModel
    from engine.session import Session


@dataclass(slots=True)
class _Sum:
    """What was added up over chunks, in nats."""

    total: float = 0.0
    worst: float = 0.0
    tokens: int = 0


def drift_of(session: Session, anchors: Sequence[str], examinees: Sequence[ModelRef]) -> list[Drift]:
    """Return the drift of each examinee, measuring only what is not recorded.

    Raises WrongUseError where the anchors hold not a single token of this model.
    """
    base = session.base
    anchors_hash = hash_json([base.fingerprint, str(base.precision), list(anchors)])
    found = {one.state.weights: measured_drift(session.db, anchors_hash, one.state.weights) for one in examinees}
    missing = {one.state.weights: one.adapter for one in examinees if found[one.state.weights] is None}
    if missing:
        texts = [base.encode_start(anchor)[: base.window_tokens] for anchor in anchors]
        if not any(texts):
            raise WrongUseError("the anchors hold no token of this model", next_step="seal-console retention check")
        new = [
            Drift(anchors_hash, weights, one.total / one.tokens, one.worst, one.tokens, utc_now())
            for weights, one in zip(missing, _measure(base, texts, list(missing.values())), strict=True)
        ]
        record_drift(session.db, new)
        found.update({drift.model_state: drift for drift in new})
    return [drift for one in examinees if (drift := found[one.state.weights]) is not None]


@torch.inference_mode()
def _measure(base: BaseModel, texts: Sequence[list[int]], adapters: Sequence[Adapter | None]) -> list[_Sum]:
    sums = [_Sum() for _ in adapters]
    spans = [Span(tuple(text)) for text in texts if text]
    for chunk in chunks(base, spans, TOKENS_AT_ONCE):
        before = log_probabilities(base, chunk, None)
        for one, adapter in zip(sums, adapters, strict=True):
            after = before if adapter is None else log_probabilities(base, chunk, adapter)
            divergence = (before.exp() * (before - after)).sum(dim=-1).clamp_(min=0.0)
            one.total += float(divergence.double().sum())
            one.worst = max(one.worst, float(divergence.max()))
            one.tokens += divergence.numel()
    return sums
