"""Lets each linear layer of a frozen model add the low-rank updates of many adapters at once.

The layers stay what they are; a forward hook adds (alpha / r) · B A x, with each group of tokens under its own A and B.
Gradients of A and B are written straight into the stack's buffer, and no gradient flows below the first adapted layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from engine.bank.layout import Grouping


@dataclass(frozen=True, slots=True)
class SlotMatrices:
    """Views into the stack for one layer: A [slots, rank, inputs], B [slots, outputs, rank], and their gradients."""

    a: torch.Tensor
    b: torch.Tensor
    a_grad: torch.Tensor | None = None
    b_grad: torch.Tensor | None = None


class Switch:
    """Which adapters act on which tokens of the next forward pass; nothing acts while it is off."""

    def __init__(self) -> None:
        self.matrices: Mapping[str, SlotMatrices] = {}
        self.grouping: Grouping | None = None
        self.scaling = 1.0
        self.anchor: torch.Tensor | None = None
        self._seen: torch.Tensor | None = None
        self._grouped: torch.Tensor | None = None

    @contextmanager
    def on(
        self, matrices: Mapping[str, SlotMatrices], grouping: Grouping, scaling: float, *, learning: bool
    ) -> Iterator[None]:
        """Let these adapters act: group g of the tokens under slot g."""
        self.matrices, self.grouping, self.scaling = matrices, grouping, scaling
        device = next(iter(matrices.values())).a.device
        self.anchor = torch.zeros((), device=device, requires_grad=True) if learning else None
        try:
            yield
        finally:
            self.matrices, self.grouping, self.anchor = {}, None, None
            self._seen = self._grouped = None

    def grouped(self, x: torch.Tensor) -> torch.Tensor:
        """Gather a layer's input; layers that share one (query, key, value) share the gathered copy."""
        if self._seen is not x:
            assert self.grouping is not None  # noqa: S101 - only called while on
            flat = x.detach().reshape(-1, x.shape[-1])
            self._seen, self._grouped = x, self.grouping.gather(flat.float())
        assert self._grouped is not None  # noqa: S101 - set above
        return self._grouped


def install_switch(model: nn.Module) -> Switch:
    """Hook every linear layer of a model but its head; returns the switch that they obey."""
    from engine.lora.adapter import adaptable_modules  # noqa: PLC0415 - lora imports nothing of the bank, but base does

    switch = Switch()
    for name, module in adaptable_modules(model).items():
        module.register_forward_hook(_hook_for(name, switch))
    return switch


def _hook_for(name: str, switch: Switch) -> Any:
    def add_update(_: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor | None:
        matrices = switch.matrices.get(name)
        if matrices is None:
            return None
        x = inputs[0]
        delta = LowRankUpdates.apply(x, switch.anchor, switch.grouped(x), matrices, switch.grouping, switch.scaling)
        return output.add_(delta.view(output.shape))

    return add_update


class LowRankUpdates(torch.autograd.Function):
    """(alpha / r) · B A x for each group of tokens under its own matrices; x is […, inputs], the result in x's dtype."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        x: torch.Tensor,
        anchor: torch.Tensor | None,  # noqa: ARG004 - makes autograd call backward where x needs no gradient
        grouped: torch.Tensor,
        matrices: SlotMatrices,
        grouping: Grouping,
        scaling: float,
    ) -> torch.Tensor:
        """Return the update [tokens, outputs]."""
        inner = torch.bmm(grouped, matrices.a.transpose(1, 2)).mul_(scaling)
        outer = torch.bmm(inner, matrices.b.transpose(1, 2))
        ctx.save_for_backward(grouped, inner)
        ctx.matrices, ctx.grouping, ctx.scaling, ctx.shape = matrices, grouping, scaling, x.shape
        return grouping.scatter(outer).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        """Write the matrices' gradients into the stack; return that of x where something below needs it."""
        grouped, inner = ctx.saved_tensors
        matrices: SlotMatrices = ctx.matrices
        above = ctx.grouping.gather_zeroed(grad.reshape(-1, grad.shape[-1]).float())
        middle = torch.bmm(above, matrices.b).mul_(ctx.scaling)
        if matrices.b_grad is not None and matrices.a_grad is not None:
            matrices.b_grad.copy_(torch.bmm(above.transpose(1, 2), inner))
            matrices.a_grad.copy_(torch.bmm(middle.transpose(1, 2), grouped))
        below = None
        if ctx.needs_input_grad[0]:
            below = ctx.grouping.scatter(torch.bmm(middle, matrices.a)).view(ctx.shape).to(grad.dtype)
        return below, None, None, None, None, None
