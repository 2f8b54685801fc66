"""Coordinates in which an inner update moves where the model knows little, and keeps still where it knows much.

A layer's weights matter to what the model knows as its Fisher information says, here in Kronecker form (K-FAC, Martens
and Grosse 2015, arXiv 1503.05671): C, the mean outer product of the layer's inputs over anchor texts, times G, that of
the gradients of its outputs. An adapter is trained as A = A′ P and B = Q B′ with P = C^-½ and Q = G^-½: a step of the
same size in A′ and B′ changes the anchors' likelihood as little in every direction. This is the curvature penalty of
Ritter et al. 2018 (arXiv 1805.07810) turned into a change of variables, which costs two small products a layer and
step, and leaves an ordinary adapter behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from engine.lora.adapter import Adapter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.bank.linear import SlotMatrices

LARGEST_FULL = 4096  # inputs or outputs; a larger factor is kept as its diagonal, whose root is as large as a vector


@dataclass(frozen=True, slots=True)
class Root:
    """A symmetric matrix [n, n] and its inverse, or both as diagonals [n]."""

    matrix: torch.Tensor
    inverse: torch.Tensor


@dataclass(frozen=True, slots=True)
class Coordinates:
    """P and Q of each layer by module name."""

    inputs: Mapping[str, Root]
    outputs: Mapping[str, Root]

    def to_weights(self, matrices: Mapping[str, SlotMatrices]) -> None:
        """Turn A′ and B′ in a stack's views into A and B, in place."""
        for name, of_layer in matrices.items():
            of_layer.a.copy_(_behind(of_layer.a, self.inputs[name].matrix))
            of_layer.b.copy_(_before(self.outputs[name].matrix, of_layer.b))

    def to_gradients(self, matrices: Mapping[str, SlotMatrices]) -> None:
        """Turn the gradients of A and B into those of A′ and B′, in place."""
        for name, of_layer in matrices.items():
            if of_layer.a_grad is not None and of_layer.b_grad is not None:
                of_layer.a_grad.copy_(_behind(of_layer.a_grad, self.inputs[name].matrix))
                of_layer.b_grad.copy_(_before(self.outputs[name].matrix, of_layer.b_grad))

    def into(self, adapter: Adapter) -> Adapter:
        """Write an adapter in these coordinates."""
        return self._changed(adapter, inverse=True)

    def out_of(self, adapter: Adapter) -> Adapter:
        """Read an adapter that is written in these coordinates."""
        return self._changed(adapter, inverse=False)

    def _changed(self, adapter: Adapter, *, inverse: bool) -> Adapter:
        """In double precision: an adapter goes through this once for each edit, and nothing shall be worn off."""
        weights = {}
        for name, (a, b) in adapter.weights.items():
            p, q = self.inputs[name], self.outputs[name]
            left, right = (q.inverse, p.inverse) if inverse else (q.matrix, p.matrix)
            changed_a = _behind(a.double(), right.double().cpu()).float()
            weights[name] = (changed_a, _before(left.double().cpu(), b.double()).float())
        return Adapter(adapter.spec, weights)


def root_of(factor: torch.Tensor, damping: float) -> Root:
    """Return factor^-½ of a symmetric positive matrix, or of a diagonal, scaled to determinant one.

    `damping`, relative to the mean eigenvalue, is added to every eigenvalue first.
    """
    exact = factor.double()
    values, vectors = (exact, None) if exact.dim() == 1 else torch.linalg.eigh(exact)
    damped = values.clamp(min=0.0) + damping * values.mean().clamp(min=1e-30)
    shrink = (damped / damped.log().mean().exp()).rsqrt()
    if vectors is None:
        return Root(shrink.float(), (1.0 / shrink).float())
    return Root(((vectors * shrink) @ vectors.T).float(), ((vectors / shrink) @ vectors.T).float())


def _behind(x: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    return x * matrix if matrix.dim() == 1 else x @ matrix


def _before(matrix: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return matrix[:, None] * x if matrix.dim() == 1 else matrix @ x
