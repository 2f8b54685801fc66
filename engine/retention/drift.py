"""How far an adapter moves the model's likelihoods away from the base on anchor texts, whatever is asked of it.

KL(base ‖ adapted) of the next token, in nats, at every position of every anchor: its mean and its highest value. The
base runs once for a chunk of anchors, then each adapter in turn; memory holds the log-probabilities of one chunk under
two models, so it is bounded by the chunk and by the longest anchor. Anchors longer than the window lose their end.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from engine.bank.layout import lay_out
from engine.bank.stack import stack_of
from store.clock import utc_now
from store.errors import WrongUseError
from store.hashing import hash_json
from store.records import Drift
from store.retention import measured_drift, record_drift

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from engine.lora.adapter import Adapter
    from engine.model.base import BaseModel
    from engine.retention.exam import Examinee
    from engine.session import Session

_TOKENS_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Anchors side by side: `tokens` is [anchors, longest], padded at the end; `real` says which are no padding."""

    tokens: torch.Tensor
    real: torch.Tensor


@dataclass(slots=True)
class _Sum:
    """What was added up over chunks, in nats."""

    total: float = 0.0
    worst: float = 0.0
    tokens: int = 0


def drift_of(session: Session, anchors: Sequence[str], examinees: Sequence[Examinee]) -> list[Drift]:
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
    for chunk in _chunks(base, texts):
        before = _log_probabilities(base, chunk, None)
        for one, adapter in zip(sums, adapters, strict=True):
            after = before if adapter is None else _log_probabilities(base, chunk, adapter)
            divergence = (before.exp() * (before - after)).sum(dim=-1).clamp_(min=0.0)
            one.total += float(divergence.double().sum())
            one.worst = max(one.worst, float(divergence.max()))
            one.tokens += divergence.numel()
    return sums


def _chunks(base: BaseModel, texts: Sequence[list[int]]) -> Iterator[_Chunk]:
    """Put anchors of like length side by side, as many as the limit of tokens allows, but at least one."""
    waiting: list[list[int]] = []
    for text in sorted(filter(None, texts), key=len):
        if waiting and (len(waiting) + 1) * len(text) > _TOKENS_AT_ONCE:
            yield _chunk(base, waiting)
            waiting = []
        waiting.append(text)
    if waiting:
        yield _chunk(base, waiting)


def _chunk(base: BaseModel, texts: Sequence[list[int]]) -> _Chunk:
    longest = max(map(len, texts))
    tokens = torch.tensor([text + [0] * (longest - len(text)) for text in texts])
    real = torch.tensor([[True] * len(text) + [False] * (longest - len(text)) for text in texts])
    return _Chunk(tokens.to(base.device), real.to(base.device))


def _log_probabilities(base: BaseModel, chunk: _Chunk, adapter: Adapter | None) -> torch.Tensor:
    """Return [real tokens, vocabulary] in float32; what pads an anchor at its end is not seen by what comes before."""
    rows, longest = chunk.tokens.shape
    causal = torch.ones(longest, longest, dtype=torch.bool, device=base.device).tril()
    with _acting(base, adapter, rows * longest):
        out = base.model(
            input_ids=chunk.tokens,
            attention_mask=causal[None, None].expand(rows, 1, -1, -1),
            position_ids=torch.arange(longest, device=base.device).expand(rows, -1),
            use_cache=False,
        )
    logits: torch.Tensor = out.logits[chunk.real]
    return logits.float().log_softmax(dim=-1)


def _acting(base: BaseModel, adapter: Adapter | None, tokens: int) -> AbstractContextManager[None]:
    if adapter is None:
        return nullcontext()
    stack = stack_of([adapter], adapter.spec, base.device)
    return base.switch.on(stack.first(1), lay_out([tokens], base.device), adapter.spec.scaling, learning=False)
