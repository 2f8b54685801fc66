"""Look-alikes of the anchors that are taught what the base says of them: distillation to the base (Hinton et al. 2015,
arXiv 1503.02531) on prompts that nobody knows an answer to.

What an adapter must not change is not only what the base knows of the anchors, but what it says of any name. A
look-alike learns the base's own distribution over the next token, in the one place where a made-up name has its effect,
so it says neither more nor less of that name than the base does. It stands beside no update that is about the name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from engine.bank.job import SoftTarget, TrainingSequence
from engine.continual.tensor_cache import cached_file, read_tensors, write_tensors
from engine.exams.likelihoods import TOKENS_AT_ONCE, Span, chunks, log_probabilities
from engine.runtime.progress import Progress
from store.hashing import hash_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.continual.perturbed_anchors import PerturbedAnchor
    from engine.model.base import BaseModel
    from engine.session import Session

_FORMAT = 1  # of the file, and of what is asked
LIKELY = 48  # tokens of each distribution, the likeliest ones; all others count as never said


@dataclass(frozen=True, slots=True)
class DistilledExample:
    """A look-alike with what the base says of it, and the names that were made up for it, whole and in parts."""

    sequence: TrainingSequence
    named: tuple[str, ...]
    parts: tuple[str, ...] = ()

    def is_named_in(self, text: str) -> bool:
        """Whether one of its made-up names stands in a text."""
        return any(name in text for name in self.named)

    def is_spelled_like(self, text: str) -> bool:
        """Whether a part of one of them stands in a text."""
        return any(part in text for part in self.parts)


def distill(base: BaseModel, found: Sequence[PerturbedAnchor]) -> list[DistilledExample]:
    """Ask the base what comes next in each look-alike."""
    return _taught(found, *_asked(base, found))


def cached_distillation(session: Session, found: Sequence[PerturbedAnchor]) -> tuple[list[DistilledExample], str]:
    """Do so once for a base and these look-alikes; returns the hash of all that the answers depend on, too."""
    base = session.base
    identity = hash_json([_FORMAT, LIKELY, base.fingerprint, str(base.precision), [list(one.asked) for one in found]])
    path = cached_file(session.workspace.cache_folder, "distilled", identity)
    tensors = read_tensors(path)
    if tensors is None or not _answers(tensors, len(found), base.model.config.get_text_config().vocab_size):
        note = f"Asking the base about {len(found):,} look-alikes of the anchors."
        session.report(Progress("round", 0, 0, note=note))
        tokens, probabilities = _asked(base, found)
        tensors = {"tokens": tokens, "probabilities": probabilities}
        write_tensors(path, tensors)
    return _taught(found, tensors["tokens"], tensors["probabilities"]), identity


def _answers(tensors: Mapping[str, torch.Tensor], asked: int, vocabulary: int) -> bool:
    """Whether these can be the answers to so many questions: a file may be whole and yet hold something else."""
    if not {"tokens", "probabilities"} <= tensors.keys():
        return False
    tokens, probabilities = tensors["tokens"], tensors["probabilities"]
    shaped = tokens.shape == probabilities.shape == (asked, min(LIKELY, vocabulary)) or not asked
    whole = tokens.dtype == torch.long and probabilities.is_floating_point()
    return shaped and whole and bool(((tokens >= 0) & (tokens < vocabulary)).all())


@torch.inference_mode()
def _asked(base: BaseModel, found: Sequence[PerturbedAnchor]) -> tuple[torch.Tensor, torch.Tensor]:
    """The likeliest next tokens of each, the likeliest first, and their probabilities: [look-alikes, at most LIKELY].

    The probabilities of each sum to one.
    """
    if not found:
        return torch.zeros(0, 0, dtype=torch.long), torch.zeros(0, 0)
    places, tokens, probabilities = list[int](), list[torch.Tensor](), list[torch.Tensor]()
    for chunk in chunks(base, [Span(one.asked, len(one.asked) - 1) for one in found], TOKENS_AT_ONCE):
        said = log_probabilities(base, chunk, None)
        values, likeliest = said.topk(min(LIKELY, said.shape[1]))
        places += chunk.places
        tokens.append(likeliest.cpu())
        probabilities.append(values.softmax(-1).cpu())
    in_order = torch.tensor(places, dtype=torch.long).argsort()
    return torch.cat(tokens)[in_order], torch.cat(probabilities)[in_order]


def _taught(
    found: Sequence[PerturbedAnchor], tokens: torch.Tensor, probabilities: torch.Tensor
) -> list[DistilledExample]:
    likely = [
        SoftTarget(tuple(which), tuple(how)) for which, how in zip(tokens.tolist(), probabilities.tolist(), strict=True)
    ]
    return [
        DistilledExample(TrainingSequence((*one.asked, said.tokens[0]), len(one.asked), said), one.named, one.parts)
        for one, said in zip(found, likely, strict=True)
    ]
