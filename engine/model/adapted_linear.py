"""Lets each linear layer of a frozen model add the low-rank updates of many adapters at once.

The layers stay unchanged; a forward hook adds (alpha / r) · B A x, with each group of tokens under its own A and B.
Gradients of A and B are written directly into the stack's buffer, and no gradient flows below the first adapted layer.
All products are in the precision of the layer's input, as under torch's autocast: so the input is kept for backward as
it is, without a copy. What is trained, its gradient and the optimiser's state stay float32 (`engine.bank`).
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from engine.model.gated_mlp import install_mlps

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine.model.token_layout import Layout


@dataclass(frozen=True, slots=True)
class SlotMatrices:
    """Views into the stack for one layer: A [slots, rank, inputs], B [slots, outputs, rank], and their gradients.

    The gradients are float32 and lack the factor alpha / r, which is the same for both.
    """

    a: torch.Tensor
    b: torch.Tensor
    a_grad: torch.Tensor | None = None
    b_grad: torch.Tensor | None = None


class Switch:
    """Which adapters act on which tokens of the next forward pass; while it is off, none does."""

    def __init__(self) -> None:
        self.matrices: Mapping[str, SlotMatrices] = {}
        self.layout: Layout | None = None
        self.scaling = 1.0
        self.anchor: torch.Tensor | None = None
        self._seen: torch.Tensor | None = None
        self._grouped: list[torch.Tensor] = []

    @contextmanager
    def on(
        self, matrices: Mapping[str, SlotMatrices], layout: Layout, scaling: float, *, training: bool
    ) -> Iterator[None]:
        """Apply these adapters while the block runs: group g of the tokens under slot g."""
        self.matrices, self.layout, self.scaling = matrices, layout, scaling
        device = next(iter(matrices.values())).a.device
        self.anchor = torch.zeros((), device=device, requires_grad=True) if training else None
        try:
            yield
        finally:
            self.matrices, self.layout, self.anchor = {}, None, None
            self._seen, self._grouped = None, []

    def product(self, name: str, module: nn.Module) -> AdaptedProduct | None:
        """Return the product of a layer with the adapters that are on; None if none acts on it."""
        matrices = self.matrices.get(name)
        if matrices is None or self.layout is None:
            return None
        weight = module.get_parameter("weight")
        return AdaptedProduct(weight.t() if isinstance(module, Conv1D) else weight, matrices, self.layout, self.scaling)

    def grouped(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Gather a layer's input, part by part; layers that share one (query, key, value) share the gathered copy."""
        if self._seen is not x:
            assert self.layout is not None  # noqa: S101 - only called while on
            flat = x.detach().reshape(-1, x.shape[-1])
            self._seen = x
            self._grouped = self.layout.gather(flat)
        return self._grouped


def install_switch(model: nn.Module) -> Switch:
    """Hook every linear layer of a model except its head; returns the switch that controls the hooks."""
    from engine.lora.adapter import adaptable_modules  # noqa: PLC0415 - lora imports nothing of the bank, but base does

    switch, adaptable = Switch(), adaptable_modules(model)
    install_mlps(model, switch, adaptable)
    for name, module in adaptable.items():
        module.register_forward_hook(UpdateHook(name, switch))
    return switch


class UpdateHook:
    """The forward hook of one layer. It is a class, not a closure, so that a base can be pickled."""

    def __init__(self, name: str, switch: Switch) -> None:
        self._name, self._switch = name, switch

    def __call__(
        self, module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor
    ) -> torch.Tensor | None:
        """Return the layer's output with the updates of the adapters that are on; None if none is."""
        switch = self._switch
        product = switch.product(self._name, module)
        if product is None:
            return None
        x = inputs[0]
        changed: torch.Tensor = AdaptedLinear.apply(  # type: ignore[no-untyped-call]
            output.detach(), x, switch.anchor, product, switch.grouped(x)
        )
        return changed


@dataclass(frozen=True, slots=True)
class AdaptedProduct:
    """A frozen linear layer with (alpha / r) · B A x added to its output, for each group of tokens under its own A, B.

    `weight` is [outputs, inputs].
    """

    weight: torch.Tensor
    matrices: SlotMatrices
    layout: Layout
    scaling: float

    def add_updates(self, output: torch.Tensor, grouped: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Add the updates to the output [tokens, outputs] in place; returns A x, which backward needs."""
        a, b = self.matrices.a.to(output.dtype), self.matrices.b.to(output.dtype)
        inner = self.layout.products(grouped, a.transpose(1, 2))
        self.layout.add_products(output, inner, b.transpose(1, 2), self.scaling)
        return inner

    def backward(
        self,
        grad: torch.Tensor,
        grouped: Sequence[torch.Tensor],
        inner: Sequence[torch.Tensor],
        below: torch.Tensor | None = None,
        *,
        needs_below: bool = True,
    ) -> torch.Tensor | None:
        """Write the matrices' gradients into the stack, and return the gradient of the input, [tokens, inputs].

        `grad` is [tokens, outputs]. If `below` is given, the gradient is added to it, in place.
        """
        matrices, layout = self.matrices, self.layout
        above = layout.gather_zeroed(grad)
        middle = layout.products(above, matrices.b.to(grad.dtype))
        if matrices.b_grad is not None and matrices.a_grad is not None:
            _put_gradients(layout.by_groups(matrices.b_grad), above, inner)
            _put_gradients(layout.by_groups(matrices.a_grad), middle, grouped)
        if not needs_below:
            return None
        below = torch.mm(grad, self.weight) if below is None else below.addmm_(grad, self.weight)
        layout.add_products(below, middle, matrices.a.to(grad.dtype), self.scaling)
        return below


class AdaptedLinear(torch.autograd.Function):
    """An adapted product as a function of its input, given the frozen layer's output.

    Backward covers the whole layer, so that both parts of the input's gradient are summed in one place.
    """

    @staticmethod
    def forward(  # noqa: PLR0917 - autograd functions take positions
        ctx: Any,
        output: torch.Tensor,
        x: torch.Tensor,
        anchor: torch.Tensor | None,  # noqa: ARG004 - makes autograd call backward where x needs no gradient
        product: AdaptedProduct,
        grouped: list[torch.Tensor],
    ) -> torch.Tensor:
        """Change the output [rows, tokens, outputs] in place; x is [rows, tokens, inputs]."""
        inner = product.add_updates(output.view(-1, output.shape[-1]), grouped)
        ctx.mark_dirty(output)
        ctx.save_for_backward(*grouped, *inner)
        ctx.product, ctx.shape = product, x.shape
        return output

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the gradient of x if a layer below needs it."""
        product: AdaptedProduct = ctx.product
        parts = len(product.layout.parts)
        flat = grad.reshape(-1, grad.shape[-1])
        saved = ctx.saved_tensors
        below = product.backward(flat, saved[:parts], saved[parts:], needs_below=ctx.needs_input_grad[1])
        return None, None if below is None else below.view(ctx.shape), None, None, None


def _put_gradients(to: Sequence[torch.Tensor], above: Sequence[torch.Tensor], x: Sequence[torch.Tensor]) -> None:
    """Write the gradient of each group's matrix, aboveᵀ x, part by part.

    The product goes through a temporary: rows of the stack are not contiguous, and products into them would run one by
    one.
    """
    for place, left, right in zip(to, above, x, strict=True):
        place.copy_(torch.bmm(left.transpose(1, 2), right))
