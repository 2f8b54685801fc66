"""Measures how much each layer's weights matter to what a model knows: its Fisher information over anchor texts.

In Kronecker form, by layer: C, the mean outer product of inputs, and G, that of the gradients of the log-likelihood
with respect to outputs, with targets drawn from the model itself (Martens 2014, arXiv 1412.1193, "true" Fisher).
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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from engine.bank.job import TrainingSequence
    from engine.model.base import BaseModel

_TOGETHER = 64  # sequences for each pass
DAMPING = 0.01


@dataclass
class Curvature:
    """The factors of each layer by module name, as sums over `tokens` tokens; diagonals for very large layers."""

    inputs: dict[str, torch.Tensor] = field(default_factory=dict)
    outputs: dict[str, torch.Tensor] = field(default_factory=dict)
    tokens: int = 0

    def coordinates(self, damping: float = DAMPING) -> Coordinates:
        """Return the coordinates in which every direction matters as much."""
        return Coordinates(
            {name: root_of(factor / self.tokens, damping) for name, factor in self.inputs.items()},
            {name: root_of(factor / self.tokens, damping) for name, factor in self.outputs.items()},
        )


def measure_curvature(base: BaseModel, anchors: Sequence[TrainingSequence], seed: int) -> Curvature:
    """Measure the base itself over anchor sequences. `seed` draws the targets."""
    found = Curvature()
    generator = torch.Generator(device=base.device).manual_seed(seed)
    with _listening(base, found):
        for start in range(0, len(anchors), _TOGETHER):
            _pass(base, anchors[start : start + _TOGETHER], generator)
            found.tokens += sum(len(one.tokens) for one in anchors[start : start + _TOGETHER])
    return found


def _pass(base: BaseModel, anchors: Sequence[TrainingSequence], generator: torch.Generator) -> None:
    tick = pack([list(anchors)], base.device)
    # The weights are frozen: gradients flow from the embedded tokens on.
    embedded = base.model.get_input_embeddings()(tick.tokens[None]).detach().requires_grad_()
    with packed_sequences(tick.by_sequence):
        logits = base.model(inputs_embeds=embedded, position_ids=tick.positions[None], use_cache=False).logits[0]
    likelihood = torch.log_softmax(logits[tick.learnt].float(), dim=-1)
    drawn = torch.multinomial(likelihood.detach().exp(), 1, generator=generator)
    likelihood.gather(1, drawn).sum().backward()


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
        _add(found.inputs, name, inputs[0].detach())
        output.register_hook(lambda gradient: _add(found.outputs, name, gradient))

    return listen


def _add(to: dict[str, torch.Tensor], name: str, x: torch.Tensor) -> None:
    flat = x.reshape(-1, x.shape[-1]).float()
    product = flat.square().sum(0) if flat.shape[1] > LARGEST_MEASURED else flat.T @ flat
    to[name] = product if name not in to else to[name] + product
