"""The stacked weights of a bank's adapters: one row of a flat buffer for each slot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.lora.adapter import Adapter, LoraSpec
from engine.model.adapted_linear import SlotMatrices

if TYPE_CHECKING:
    from collections.abc import Sequence


class AdapterStack:
    """Weights, and gradients when training, of up to `slots` adapters of one shape: [slots, parameters].

    A row holds A and B of each target in the spec's order. Weights have the precision in which the base multiplies
    them, gradients are float32.
    """

    def __init__(
        self, spec: LoraSpec, slots: int, device: torch.device, precision: torch.dtype, *, training: bool
    ) -> None:
        self.spec = spec
        self.slots = slots
        # Rows for training are filled when they are used, so that those that never are cost no memory.
        make = torch.empty if training else torch.zeros
        self.weights = make(slots, spec.parameters, device=device, dtype=precision)
        self.gradients = torch.empty(slots, spec.parameters, device=device) if training else None
        self._cleared = 0
        self._views: tuple[int, dict[str, SlotMatrices]] | None = None

    def first(self, slots: int) -> dict[str, SlotMatrices]:
        """Return views of the first `slots` adapters by module name."""
        if self.gradients is not None and slots > self._cleared:
            self.gradients[self._cleared : slots].zero_()  # a layer that a tick does not reach leaves its part as it is
            self._cleared = slots
        if self._views is None or self._views[0] != slots:
            self._views = (slots, self._make_views(slots))
        return self._views[1]

    def _make_views(self, slots: int) -> dict[str, SlotMatrices]:
        views, at, rank = {}, 0, self.spec.rank
        for target in self.spec.targets:
            middle, end = at + rank * target.inputs, at + rank * (target.inputs + target.outputs)
            a, b = (
                (slice(at, middle), (slots, rank, target.inputs)),
                (slice(middle, end), (slots, target.outputs, rank)),
            )
            pairs = [
                None if buffer is None else buffer[:slots, columns].view(shape)
                for buffer in (self.weights, self.gradients)
                for columns, shape in (a, b)
            ]
            assert pairs[0] is not None  # noqa: S101 - weights are always there
            assert pairs[1] is not None  # noqa: S101
            views[target.module] = SlotMatrices(pairs[0], pairs[1], pairs[2], pairs[3])
            at = end
        return views


def flat_weights(adapter: Adapter) -> torch.Tensor:
    """Return all weights of an adapter in one row, [parameters], in the order of a stack."""
    targets = adapter.spec.targets
    return torch.cat([matrix.reshape(-1) for target in targets for matrix in adapter.weights[target.module]])


def adapter_from(row: torch.Tensor, spec: LoraSpec) -> Adapter:
    """Copy a row of a stack to the CPU, as an adapter."""
    parts = iter(by_matrix(row.cpu(), spec))
    weights = {
        target.module: (
            next(parts).view(spec.rank, target.inputs).clone(),
            next(parts).view(target.outputs, spec.rank).clone(),
        )
        for target in spec.targets
    }
    return Adapter(spec, weights)


def by_matrix(row: torch.Tensor, spec: LoraSpec) -> Sequence[torch.Tensor]:
    """Split a row into views of A and B of each target, in the spec's order."""
    sizes = [spec.rank * size for target in spec.targets for size in (target.inputs, target.outputs)]
    parts: Sequence[torch.Tensor] = row.split(sizes)
    return parts


def trim_small_changes(row: torch.Tensor, start: torch.Tensor, spec: LoraSpec, least: float) -> torch.Tensor:
    """Undo changes since the start that are smaller than `least` times the root mean square of their matrix.

    Rows are [parameters]. Small changes are mostly optimiser noise and disturb what the adapter knew. This is the
    trimming step of TIES-Merging (Yadav et al. 2023, arXiv 2306.01708), which ranks the changes; a threshold needs only
    one pass.
    """
    change = row - start
    for of_matrix in by_matrix(change, spec):
        of_matrix.masked_fill_(of_matrix.abs() < least * of_matrix.square().mean().sqrt(), 0.0)
    return start + change


def stack_of(
    adapters: Sequence[Adapter | None], spec: LoraSpec, device: torch.device, precision: torch.dtype
) -> AdapterStack:
    """Stack finished adapters for inference; None is the base alone."""
    stack = AdapterStack(spec, len(adapters), device, precision, training=False)
    for slot, adapter in enumerate(adapters):
        if adapter is not None:
            stack.weights[slot].copy_(flat_weights(adapter))
    return stack
