"""Measures how much each layer's weights matter to what the model says about anchor texts.

The measure is the Gauss-Newton matrix JᵀJ of the logits at the trained positions of the anchors. Unlike the Fisher
information, which hardly counts an answer that the model is sure of, it counts every anchor alike, and answers the
model is sure of are the ones that must not be lost. JᵀJ is the mean of the outer products of gradients of random
combinations of the logits (Hutchinson's estimator).

In Kronecker form, by layer: C of its inputs x, and G of the gradients g of its outputs. Tokens whose output matters
little should count little in C, so both are weighted: C sums |g|² x xᵀ, G sums |x|² g gᵀ. That is the first step, from
the identity, towards the nearest Kronecker product (Van Loan and Pitsianis 1993).

The result is kept in the workspace's cache. A file that cannot be read, or does not fit, is measured again; the cache
may be deleted at any time.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

import torch

from engine.bank.packing import pack
from engine.bank.preconditioner import (
    LARGEST_MEASURED,
    DenseFactor,
    DiagonalFactor,
    FactorRoot,
    KroneckerPreconditioner,
    LowRankPlusIdentity,
    SymmetricFactor,
    inverse_root,
)
from engine.continual.tensor_cache import cached_file, read_tensors, write_tensors
from engine.lora.adapter import adaptable_modules
from engine.model.attention import packed_sequences
from engine.runtime.progress import Progress, Report, ignore_progress
from engine.runtime.tuning import return_freed_memory
from store.hashing import hash_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from engine.bank.job import TrainingSequence
    from engine.continual.perturbed_anchors import PerturbedAnchor
    from engine.model.base import BaseModel


_PER_PASS, _TOKENS_PER_PASS = 64, 1536  # the most sequences and tokens: a pass keeps activations and all logits
DAMPING = 0.01


@dataclass
class Curvature:
    """The factors of each layer by module name, summed over tokens; diagonals for very wide layers.

    Their scale has no meaning.
    """

    inputs: dict[str, torch.Tensor] = field(default_factory=dict)
    outputs: dict[str, torch.Tensor] = field(default_factory=dict)

    def preconditioner(self, damping: float = DAMPING) -> KroneckerPreconditioner:
        """Return the change of variables under which every direction matters equally."""
        return KroneckerPreconditioner(
            {name: inverse_root(factor, damping) for name, factor in self.inputs.items()},
            {name: inverse_root(factor, damping) for name, factor in self.outputs.items()},
        )


def measure_curvature(
    base: BaseModel, anchors: Sequence[TrainingSequence], seed: int, report: Report = ignore_progress
) -> Curvature:
    """Measure the base itself over anchor sequences. `seed` draws the combinations of logits."""
    found = Curvature()
    generator = torch.Generator(device=base.device).manual_seed(seed)
    with _listening(base, found):
        done = 0
        for part in _parts(anchors):
            report(Progress("curvature", done, len(anchors), "texts"))
            _pass(base, part, generator)
            done += len(part)
    report(Progress("curvature", len(anchors), len(anchors), "texts"))
    return_freed_memory()
    return found


def _parts(anchors: Sequence[TrainingSequence]) -> Iterator[list[TrainingSequence]]:
    """Split anchors, in their order, into what one pass has room for; at least one sequence each."""
    part: list[TrainingSequence] = []
    tokens = 0
    for anchor in anchors:
        if part and (len(part) == _PER_PASS or tokens + len(anchor.tokens) > _TOKENS_PER_PASS):
            yield part
            part, tokens = [], 0
        part.append(anchor)
        tokens += len(anchor.tokens)
    if part:
        yield part


def _pass(base: BaseModel, anchors: Sequence[TrainingSequence], generator: torch.Generator) -> None:
    tick = pack([list(anchors)], base.device)
    # The weights are frozen, so gradients start at the embedded tokens.
    embedded = base.model.get_input_embeddings()(tick.tokens[None]).detach().requires_grad_()
    with packed_sequences(tick.by_sequence):
        logits = base.model(inputs_embeds=embedded, position_ids=tick.positions[None], use_cache=False).logits[0]
    trained = logits[tick.target_positions].float()
    trained.backward(torch.randn(trained.shape, generator=generator, device=base.device))


@contextmanager
def _listening(base: BaseModel, found: Curvature) -> Iterator[None]:
    handles = [
        module.register_forward_hook(_listener(name, found)) for name, module in adaptable_modules(base.model).items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _listener(name: str, found: Curvature) -> Callable[..., None]:
    def listen(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        x = _by_token(inputs[0].detach())

        def listen_back(gradient: torch.Tensor) -> None:
            g = _by_token(gradient)
            _add(found.inputs, name, x * torch.linalg.vector_norm(g, dim=1, keepdim=True))
            _add(found.outputs, name, g * torch.linalg.vector_norm(x, dim=1, keepdim=True))

        output.register_hook(listen_back)

    return listen


def _by_token(x: torch.Tensor) -> torch.Tensor:
    return x.reshape(-1, x.shape[-1]).float()


def _add(to: dict[str, torch.Tensor], name: str, x: torch.Tensor) -> None:
    product = x.square().sum(0) if x.shape[1] > LARGEST_MEASURED else x.T @ x
    to[name] = product if name not in to else to[name] + product


_FORMAT = 5  # of the file, and of how it is measured
_SIDES = ("inputs", "outputs")
_KINDS: tuple[type[DenseFactor | DiagonalFactor | LowRankPlusIdentity], ...] = (
    DenseFactor,
    DiagonalFactor,
    LowRankPlusIdentity,
)
_SEED = 0


def cached_preconditioner(
    base: BaseModel,
    cache_folder: Path,
    anchors: Sequence[TrainingSequence],
    perturbed: Sequence[PerturbedAnchor],
    report: Report = ignore_progress,
) -> tuple[KroneckerPreconditioner, str]:
    """Return the preconditioner of a base over anchors and their perturbed forms, measured once.

    Also returns the hash of everything it depends on; the perturbed anchors follow from the anchors.
    """
    tokens = [[list(one.tokens), one.loss_start] for one in anchors]
    identity = hash_json([_FORMAT, base.fingerprint, str(base.precision), DAMPING, _SEED, tokens])
    path = cached_file(cache_folder, "curvature", identity)
    found = _read(path, base)
    if found is None:
        report(Progress("round", 0, 0, note=f"Measuring which weights {len(anchors):,} known facts depend on."))
        measured = [*anchors, *(one.sequence for one in perturbed)]
        found = measure_curvature(base, measured, _SEED, report).preconditioner()
        write_tensors(path, _tensors(found))
    return found, identity


def _tensors(preconditioner: KroneckerPreconditioner) -> dict[str, torch.Tensor]:
    sides = zip(_SIDES, (preconditioner.inputs, preconditioner.outputs), strict=True)
    matrices = {
        f"{side}/{module}/{part}": matrix
        for side, roots in sides
        for module, root in roots.items()
        for part, matrix in (("matrix", root.matrix), ("inverse", root.inverse))
    }
    # A matrix and its inverse share their basis; safetensors needs each tensor to own its memory.
    return {
        f"{where}/{type(matrix).__name__}/{one.name}": getattr(matrix, one.name).cpu().clone()
        for where, matrix in matrices.items()
        for one in fields(matrix)
    }


def _read(path: Path, base: BaseModel) -> KroneckerPreconditioner | None:
    tensors = read_tensors(path)
    if tensors is None:
        return None
    try:
        inputs, outputs = (
            {module: _root(tensors, f"{side}/{module}", base) for module in adaptable_modules(base.model)}
            for side in _SIDES
        )
    except KeyError:
        return None
    return KroneckerPreconditioner(inputs, outputs)


def _root(tensors: dict[str, torch.Tensor], where: str, base: BaseModel) -> FactorRoot:
    return FactorRoot(*(_symmetric(tensors, f"{where}/{part}", base) for part in ("matrix", "inverse")))


def _symmetric(tensors: dict[str, torch.Tensor], where: str, base: BaseModel) -> SymmetricFactor:
    """Raise KeyError if no kind of matrix is complete."""
    for kind in _KINDS:
        names = [f"{where}/{kind.__name__}/{one.name}" for one in fields(kind)]
        if names[0] in tensors:
            return kind(*(tensors[name].to(base.device) for name in names))
    raise KeyError(where)
