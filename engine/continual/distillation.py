"""Perturbed anchors as training examples: distillation to the base (Hinton et al. 2015, arXiv 1503.02531).

What an adapter must not change is not only what the base knows about the anchors, but what it says about any name. A
perturbed anchor learns the base's own distribution over the next token at the one place where a made-up name has its
effect, so it says neither more nor less about that name than the base does. No update that is about the name replays
it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from engine.bank.job import SoftTarget, TrainingSequence
from engine.continual.tensor_cache import cached_file, read_tensors, write_tensors
from engine.generation.likelihoods import TOKENS_PER_CHUNK, Span, chunks, log_probabilities
from engine.runtime.progress import Progress, Report, ignore_progress
from store.hashing import hash_json
from store.wording import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from engine.continual.perturbed_anchors import PerturbedAnchor
    from engine.model.base import BaseModel

_FORMAT = 1  # of the file, and of what is asked
TOP_TOKENS = 48  # tokens of each distribution, the most likely ones; the rest counts as never said


@dataclass(frozen=True, slots=True)
class DistilledExample:
    """A perturbed anchor with the base's distribution, and its made-up names, whole and in parts."""

    sequence: TrainingSequence
    named: tuple[str, ...]
    parts: tuple[str, ...] = ()

    def is_named_in(self, text: str) -> bool:
        """Whether a text mentions one of its made-up names."""
        return any(name in text for name in self.named)

    def is_spelled_like(self, text: str) -> bool:
        """Whether a text contains a part of one of them."""
        return any(part in text for part in self.parts)


def distill(base: BaseModel, perturbed: Sequence[PerturbedAnchor]) -> list[DistilledExample]:
    """Ask the base what comes next in each perturbed anchor."""
    return _examples(perturbed, *_top_tokens(base, perturbed))


def cached_distillation(
    base: BaseModel, cache_folder: Path, perturbed: Sequence[PerturbedAnchor], report: Report = ignore_progress
) -> tuple[list[DistilledExample], str]:
    """Distil once for a base and these anchors; also returns the hash of everything that the result depends on."""
    asked = [list(one.asked) for one in perturbed]
    identity = hash_json([_FORMAT, TOP_TOKENS, base.fingerprint, str(base.precision), asked])
    path = cached_file(cache_folder, "distilled", identity)
    tensors = read_tensors(path)
    if tensors is None or not _fits(tensors, len(perturbed), base.model.config.get_text_config().vocab_size):
        note = f"Measuring the base on {counted(len(perturbed), 'variation')} of known facts."
        report(Progress("round", 0, 0, note=note))
        tokens, probabilities = _top_tokens(base, perturbed)
        tensors = {"tokens": tokens, "probabilities": probabilities}
        write_tensors(path, tensors)
    return _examples(perturbed, tensors["tokens"], tensors["probabilities"]), identity


def _fits(tensors: Mapping[str, torch.Tensor], anchors: int, vocabulary: int) -> bool:
    """Whether a cached file can be the answer to that many anchors: it may be intact and yet hold something else."""
    if not {"tokens", "probabilities"} <= tensors.keys():
        return False
    tokens, probabilities = tensors["tokens"], tensors["probabilities"]
    shaped = tokens.shape == probabilities.shape == (anchors, min(TOP_TOKENS, vocabulary)) or not anchors
    typed = tokens.dtype == torch.long and probabilities.is_floating_point()
    return shaped and typed and bool(((tokens >= 0) & (tokens < vocabulary)).all())


@torch.inference_mode()
def _top_tokens(base: BaseModel, perturbed: Sequence[PerturbedAnchor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the most likely next tokens of each, the likeliest first, and their probabilities, which sum to one.

    Both are [perturbed anchors, at most TOP_TOKENS].
    """
    if not perturbed:
        return torch.zeros(0, 0, dtype=torch.long), torch.zeros(0, 0)
    places, tokens, probabilities = list[int](), list[torch.Tensor](), list[torch.Tensor]()
    spans = [Span(one.asked, len(one.asked) - 1) for one in perturbed]
    for chunk in chunks(base, spans, TOKENS_PER_CHUNK):
        predicted = log_probabilities(base, chunk, None)
        values, likeliest = predicted.topk(min(TOP_TOKENS, predicted.shape[1]))
        places += chunk.places
        tokens.append(likeliest.cpu())
        probabilities.append(values.softmax(-1).cpu())
    in_order = torch.tensor(places, dtype=torch.long).argsort()
    return torch.cat(tokens)[in_order], torch.cat(probabilities)[in_order]


def _examples(
    perturbed: Sequence[PerturbedAnchor], tokens: torch.Tensor, probabilities: torch.Tensor
) -> list[DistilledExample]:
    targets = [
        SoftTarget(tuple(which), tuple(how)) for which, how in zip(tokens.tolist(), probabilities.tolist(), strict=True)
    ]
    return [
        DistilledExample(TrainingSequence((*one.asked, target.tokens[0]), len(one.asked), target), one.named, one.parts)
        for one, target in zip(perturbed, targets, strict=True)
    ]
