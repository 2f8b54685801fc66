"""Measures how much each layer's weights matter to what a model says of anchor texts.

The measure is the Gauss-Newton matrix JᵀJ of the logits where an anchor is learnt: unlike the Fisher information, in
which an answer that the model is sure of hardly counts, every anchor counts alike, and sure answers are what shall not
be lost. J is met through random combinations of the logits, whose gradients' outer products have JᵀJ as their mean
(Hutchinson's estimator).

In Kronecker form, by layer: C of its inputs x, and G of the gradients g of its outputs. A token whose output matters
nothing shall not count in C, so both are weighted: C sums |g|² x xᵀ, G sums |x|² g gᵀ. That is the first step, from the
identity, towards the nearest Kronecker product (Van Loan and Pitsianis 1993).
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from engine.bank.attention import packed_sequences
from engine.bank.coordinates import LARGEST_MEASURED, Coordinates, root_of
from engine.bank.packing import pack
from engine.lora.adapter import adaptable_modules
from engine.progress import Progress, Report, say_nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from engine.bank.job import TrainingSequence
    from engine.model.base import BaseModel

_TOGETHER = 64  # sequences for each pass
DAMPING = 0.01


@dataclass
class Curvature:
    """The factors of each layer by module name, as sums over tokens; diagonals for very large layers.

    Their scale has no meaning.
    """

    inputs: dict[str, torch.Tensor] = field(default_factory=dict)
    outputs: dict[str, torch.Tensor] = field(default_factory=dict)

    def coordinates(self, damping: float = DAMPING) -> Coordinates:
        """Return the coordinates in which every direction matters as much."""
        return Coordinates(
            {name: root_of(factor, damping) for name, factor in self.inputs.items()},
            {name: root_of(factor, damping) for name, factor in self.outputs.items()},
        )


def measure_curvature(
    base: BaseModel, anchors: Sequence[TrainingSequence], seed: int, report: Report = say_nothing
) -> Curvature:
    """Measure the base itself over anchor sequences. `seed` draws the combinations of logits."""
    found = Curvature()
    generator = torch.Generator(device=base.device).manual_seed(seed)
    with _listening(base, found):
        for start in range(0, len(anchors), _TOGETHER):
            report(Progress("curvature", start, len(anchors), "texts"))
            _pass(base, anchors[start : start + _TOGETHER], generator)
    report(Progress("curvature", len(anchors), len(anchors), "texts"))
    return found


def _pass(base: BaseModel, anchors: Sequence[TrainingSequence], generator: torch.Generator) -> None:
    tick = pack([list(anchors)], base.device)
    # The weights are frozen: gradients flow from the embedded tokens on.
    embedded = base.model.get_input_embeddings()(tick.tokens[None]).detach().requires_grad_()
    with packed_sequences(tick.by_sequence):
        logits = base.model(inputs_embeds=embedded, position_ids=tick.positions[None], use_cache=False).logits[0]
    learnt = logits[tick.learnt].float()
    learnt.backward(torch.randn(learnt.shape, generator=generator, device=base.device))


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
