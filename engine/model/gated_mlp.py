"""Trains the gated MLPs of a frozen model as one function: down(act(gate(x)) · up(x)), each layer with its adapters.

Autograd keeps what goes into each operation; this keeps x and the outputs of gate and up, and computes the rest again.
A module whose output is not that formula's, to the last bit, is left alone, and so is one that is called in another
way: without adapters on all three layers, on some of the tokens only, or with hooks of somebody else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.functional import linear

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.model.adapted_linear import AdaptedProduct, Switch

LAYERS = ("gate_proj", "up_proj", "down_proj")
_ACTIVATION = "act_fn"
_TEST_TOKENS = 3


def install_mlps(model: nn.Module, switch: Switch, adaptable: Mapping[str, nn.Module]) -> int:
    """Replace the forward pass of every gated MLP whose layers can be adapted; returns how many there are."""
    found = 0
    for name, module in model.named_modules():
        layers = [f"{name}.{layer}" for layer in LAYERS]
        if all(layer in adaptable for layer in layers) and _is_gated(module):
            module.forward = MlpForward(module, layers, switch)
            found += 1
    return found


@dataclass(frozen=True, slots=True)
class GatedProducts:
    """The three adapted layers of an MLP, their biases, and the activation between them."""

    gate: AdaptedProduct
    up: AdaptedProduct
    down: AdaptedProduct
    biases: tuple[torch.Tensor | None, ...]
    activation: nn.Module


class MlpForward:
    """The forward pass of one MLP. It is a class, not a closure, so that a base can be pickled."""

    def __init__(self, module: nn.Module, layers: list[str], switch: Switch) -> None:
        self._module, self._names, self._switch = module, layers, switch

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        """Return what the module returns."""
        x = inputs[0] if len(inputs) == 1 and not named else None
        products = None if x is None or self._switch.anchor is None else self._products(x)
        if products is None:
            return type(self._module).forward(self._module, *inputs, **named)
        return GatedMlp.apply(x, self._switch.anchor, products)  # type: ignore[no-untyped-call]

    def _products(self, x: torch.Tensor) -> GatedProducts | None:
        layers = [self._module.get_submodule(name) for name in LAYERS]
        products = [self._switch.product(*named) for named in zip(self._names, layers, strict=True)]
        gate, up, down = products
        if gate is None or up is None or down is None or x.numel() != gate.layout.tokens * x.shape[-1]:
            return None
        if any(len(layer._forward_hooks) > 1 for layer in layers):  # noqa: SLF001 - torch has no other way to ask
            return None
        biases = tuple(getattr(layer, "bias", None) for layer in layers)
        return GatedProducts(gate, up, down, biases, getattr(self._module, _ACTIVATION))


class GatedMlp(torch.autograd.Function):
    """down(act(gate(x)) · up(x)) with the adapters of each layer; x is [rows, tokens, inputs]."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        anchor: torch.Tensor,  # noqa: ARG004 - makes autograd call backward where x needs no gradient
        mlp: GatedProducts,
    ) -> torch.Tensor:
        """Return the output, [rows, tokens, outputs]."""
        flat = x.reshape(-1, x.shape[-1])
        grouped = mlp.gate.layout.gather(flat)
        gate, up = (linear(flat, product.weight, bias) for product, bias in _with_biases(mlp)[:2])
        inner_gate, inner_up = mlp.gate.add_updates(gate, grouped), mlp.up.add_updates(up, grouped)
        gated = mlp.activation(gate) * up
        out = linear(gated, mlp.down.weight, mlp.biases[2])
        inner_down = mlp.down.add_updates(out, mlp.down.layout.gather(gated))
        ctx.save_for_backward(flat, gate, up, *inner_gate, *inner_up, *inner_down)
        ctx.mlp, ctx.shape = mlp, x.shape
        return out.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, None, None]:
        """Write the matrices' gradients into the stack, and return that of x if a layer below needs it."""
        mlp: GatedProducts = ctx.mlp
        flat, gate, up, *inner = ctx.saved_tensors
        layout, parts = mlp.gate.layout, len(mlp.gate.layout.parts)
        inner_gate, inner_up, inner_down = (inner[at * parts : (at + 1) * parts] for at in range(3))
        with torch.enable_grad():
            gate, up = gate.detach().requires_grad_(), up.detach().requires_grad_()
            gated = mlp.activation(gate) * up
        above = mlp.down.backward(grad.reshape(-1, grad.shape[-1]), layout.gather(gated.detach()), inner_down)
        of_gate, of_up = torch.autograd.grad(gated, (gate, up), above)
        grouped, needed = layout.gather(flat), bool(ctx.needs_input_grad[0])
        below = mlp.gate.backward(of_gate, grouped, inner_gate, needs_below=needed)
        below = mlp.up.backward(of_up, grouped, inner_up, below, needs_below=needed)
        return None if below is None else below.view(ctx.shape), None, None


def _with_biases(mlp: GatedProducts) -> list[tuple[AdaptedProduct, torch.Tensor | None]]:
    return list(zip((mlp.gate, mlp.up, mlp.down), mlp.biases, strict=True))


@torch.no_grad()
def _is_gated(module: nn.Module) -> bool:
    """Whether a module's output is that of the formula, to the last bit."""
    activation = getattr(module, _ACTIVATION, None)
    gate, up, down = (module.get_submodule(name) for name in LAYERS)
    if activation is None or any(isinstance(layer, nn.Linear) is False for layer in (gate, up, down)):
        return False
    inputs = gate.get_parameter("weight").shape[1]
    weight = gate.get_parameter("weight")
    # Not drawn: loading a model leaves the state of random numbers alone.
    steps = torch.arange(_TEST_TOKENS * inputs, device=weight.device, dtype=torch.float32)
    x = (steps * 1.7 + 0.3).sin().view(1, _TEST_TOKENS, inputs).to(weight.dtype)
    try:
        found = module(x)
        return isinstance(found, torch.Tensor) and torch.equal(found, down(activation(gate(x)) * up(x)))
    except (TypeError, ValueError, RuntimeError):
        return False  # it takes other inputs, or its layers do not fit together
