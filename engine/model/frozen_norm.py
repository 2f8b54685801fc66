"""Lets the RMS norms of a frozen model keep only their input for backward, and makes that backward a few operations.

Autograd keeps two float32 copies of what goes into a norm, and walks back through each of its steps. Forward stays the
module's own. A module whose outputs are not those of an RMS norm is left alone; so are norms with more than one input.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

_EPSILONS = ("variance_epsilon", "eps")
_SCALES = (1e-3, 1.0, 30.0)  # of test inputs; the smallest shows the epsilon
_TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float16: 2e-3}


def install_norms(model: nn.Module) -> int:
    """Replace the forward pass of every RMS norm with a frozen weight; returns how many there are."""
    found = 0
    for module in model.modules():
        forward = _norm_forward(module)
        if forward is not None:
            module.forward = forward
            found += 1
    return found


class NormForward:
    """The forward pass of one norm. It is a class, not a closure, so that a base can be pickled."""

    def __init__(self, module: nn.Module, epsilon: float, offset: float) -> None:
        self._module, self._epsilon, self._offset = module, epsilon, offset

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        """Return what the module returns."""
        x = inputs[0] if inputs else None
        plain = len(inputs) == 1 and not named and torch.is_grad_enabled() and not self._weight().requires_grad
        if plain and isinstance(x, torch.Tensor) and x.requires_grad:
            return FrozenNorm.apply(x, self)  # type: ignore[no-untyped-call]
        return self.own(*inputs, **named)

    def own(self, *inputs: Any, **named: Any) -> Any:
        """Call the forward pass that the module's class defines."""
        return type(self._module).forward(self._module, *inputs, **named)

    def computed(self, x: torch.Tensor) -> torch.Tensor:
        """Return the formula's value in float32."""
        wide = x.float()
        return wide * self._inverse_size(wide) * (self._weight().float() + self._offset)

    def backward(self, grad: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Return the gradient of the input, in its precision."""
        wide = x.float()
        inverse = self._inverse_size(wide)
        scaled = grad.float() * (self._weight().float() + self._offset)
        along = (scaled * wide).mean(-1, keepdim=True) * inverse.pow(3)
        return scaled.mul_(inverse).addcmul_(wide, along, value=-1.0).to(x.dtype)

    def _weight(self) -> torch.Tensor:
        return self._module.get_parameter("weight")  # asked for each time: moving a model may replace it

    def _inverse_size(self, wide: torch.Tensor) -> torch.Tensor:
        return (wide * wide).mean(-1, keepdim=True).add_(self._epsilon).rsqrt_()


class FrozenNorm(torch.autograd.Function):
    """An RMS norm (Zhang and Sennrich 2019, arXiv 1910.07467) with a frozen weight."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, norm: NormForward) -> Any:
        """Compute the norm as its module does."""
        ctx.save_for_backward(x)
        ctx.norm = norm
        return norm.own(x)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Return the gradient of the input."""
        return ctx.norm.backward(grad, *ctx.saved_tensors), None


def _norm_forward(module: nn.Module) -> NormForward | None:
    """Return the new forward pass of a module if it proves to be an RMS norm over the last dimension."""
    weights = dict(module.named_parameters())
    weight = weights.get("weight")
    epsilon = next((value for name in _EPSILONS if isinstance(value := getattr(module, name, None), float)), None)
    if len(weights) != 1 or weight is None or weight.dim() != 1 or epsilon is None or any(module.children()):
        return None
    for offset in (0.0, 1.0):
        forward = NormForward(module, epsilon, offset)
        if all(_agrees(forward, weight, scale) for scale in _SCALES):
            return forward
    return None


@torch.no_grad()
def _agrees(forward: NormForward, weight: torch.Tensor, scale: float) -> bool:
    # Not drawn: loading a model leaves the state of random numbers alone.
    steps = torch.arange(4 * weight.numel(), device=weight.device, dtype=torch.float32)
    x = (scale * (steps * 1.7 + 0.3).sin() * (1.0 + (steps * 0.013).cos())).view(4, -1).to(weight.dtype)
    try:
        found = forward.own(x)
    except (TypeError, ValueError, RuntimeError):
        return False  # it takes more than one input
    expected = forward.computed(x)
    if not isinstance(found, torch.Tensor) or found.shape != x.shape or found.dtype != x.dtype:
        return False
    tolerance = _TOLERANCE.get(x.dtype, 0.0)
    return bool(torch.allclose(found.float(), expected, rtol=tolerance, atol=tolerance * float(expected.abs().mean())))
