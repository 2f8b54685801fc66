"""A Kronecker-factored preconditioner: inner updates move where the model knows little, and hardly where it knows much.

How much a layer's weights matter to what the model says about anchor texts is measured in Kronecker form (K-FAC,
Martens and Grosse 2015, arXiv 1503.05671; `engine/continual/curvature.py`): C, from the outer products of the layer's
inputs, times G, from those of the gradients of its outputs. An adapter is trained as A = A′ P and B = Q B′ with P =
C^-½ and Q = G^-½: steps of the same size in A′ and B′ change the anchors' logits equally little in every direction.
This is the curvature penalty of Ritter et al. 2018 (arXiv 1805.07810) turned into a change of variables. It costs two
small products per layer and step, and leaves an ordinary adapter behind.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch

from engine.lora.adapter import Adapter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.model.adapted_linear import SlotMatrices

# Inputs or outputs of a layer. A wider factor keeps only the BASIS_SIZE directions that matter most: a product then
# costs two of that width, and memory grows linearly.
LARGEST_DENSE = 256
BASIS_SIZE = 64
LARGEST_MEASURED = 1024  # a wider factor is measured as its diagonal: a model has hundreds, and eigenvectors are slow


@dataclass(frozen=True, slots=True)
class DenseFactor:
    """A symmetric matrix [n, n]."""

    matrix: torch.Tensor

    def right_multiply(self, x: torch.Tensor) -> torch.Tensor:
        """Return x M for x [..., m, n]."""
        return x @ self.matrix

    def left_multiply(self, x: torch.Tensor) -> torch.Tensor:
        """Return M x for x [..., n, m]."""
        return self.matrix @ x


@dataclass(frozen=True, slots=True)
class DiagonalFactor:
    """A diagonal matrix [n, n], as its diagonal [n]."""

    values: torch.Tensor

    def right_multiply(self, x: torch.Tensor) -> torch.Tensor:
        """Return x M for x [..., m, n]."""
        return x * self.values

    def left_multiply(self, x: torch.Tensor) -> torch.Tensor:
        """Return M x for x [..., n, m]."""
        return self.values[:, None] * x


@dataclass(frozen=True, slots=True)
class LowRankPlusIdentity:
    """A symmetric matrix: `scale` [] times the identity, plus `delta` [k] along orthonormal columns, `basis` [n, k]."""

    scale: torch.Tensor
    basis: torch.Tensor
    delta: torch.Tensor

    def right_multiply(self, x: torch.Tensor) -> torch.Tensor:
        """Return x M for x [..., m, n]."""
        rows = (x * self.scale).view(-1, x.shape[-1])
        along = (x @ self.basis).mul_(self.delta).view(len(rows), -1)
        return rows.addmm_(along, self.basis.T).view(x.shape)

    def left_multiply(self, x: torch.Tensor) -> torch.Tensor:
        """Return M x for x [..., n, m]."""
        along = (self.basis.T @ x).mul_(self.delta[:, None]).view(-1, len(self.delta), x.shape[-1])
        rows = (x * self.scale).view(-1, *x.shape[-2:])
        return rows.baddbmm_(self.basis.expand(len(rows), -1, -1), along).view(x.shape)


SymmetricFactor = DenseFactor | DiagonalFactor | LowRankPlusIdentity


@dataclass(frozen=True, slots=True)
class FactorRoot:
    """A symmetric matrix and its inverse."""

    matrix: SymmetricFactor
    inverse: SymmetricFactor


@dataclass(frozen=True, slots=True)
class KroneckerPreconditioner:
    """P (`inputs`) and Q (`outputs`) of each layer by module name."""

    inputs: Mapping[str, FactorRoot]
    outputs: Mapping[str, FactorRoot]

    def apply_to_weights(self, matrices: Mapping[str, SlotMatrices]) -> None:
        """Turn A′ and B′ in a stack's views into A and B, in place."""
        for name, of_layer in matrices.items():
            of_layer.a.copy_(self.inputs[name].matrix.right_multiply(of_layer.a))
            of_layer.b.copy_(self.outputs[name].matrix.left_multiply(of_layer.b))

    def apply_to_gradients(self, matrices: Mapping[str, SlotMatrices]) -> None:
        """Turn the gradients of A and B into those of A′ and B′, in place."""
        for name, of_layer in matrices.items():
            if of_layer.a_grad is not None and of_layer.b_grad is not None:
                of_layer.a_grad.copy_(self.inputs[name].matrix.right_multiply(of_layer.a_grad))
                of_layer.b_grad.copy_(self.outputs[name].matrix.left_multiply(of_layer.b_grad))

    def unprecondition(self, adapters: Sequence[Adapter]) -> list[Adapter]:
        """Return A′ and B′ for adapters given as A and B."""
        return self._changed(adapters, inverse=True)

    def precondition(self, adapters: Sequence[Adapter]) -> list[Adapter]:
        """Return A and B for adapters given as A′ and B′."""
        return self._changed(adapters, inverse=False)

    def _changed(self, adapters: Sequence[Adapter], *, inverse: bool) -> list[Adapter]:
        """Convert in double precision: an adapter goes through this with every edit and must not lose a little each
        time.
        """
        changed: list[dict[str, tuple[torch.Tensor, torch.Tensor]]] = [{} for _ in adapters]
        for name in adapters[0].weights if adapters else ():
            p, q = self.inputs[name], self.outputs[name]
            left, right = (to_double(one.inverse if inverse else one.matrix) for one in (q, p))
            for adapter, weights in zip(adapters, changed, strict=True):
                a, b = adapter.weights[name]
                weights[name] = (right.right_multiply(a.double()).float(), left.left_multiply(b.double()).float())
        return [Adapter(adapter.spec, weights) for adapter, weights in zip(adapters, changed, strict=True)]


def inverse_root(factor: torch.Tensor, damping: float) -> FactorRoot:
    """Return factor^-½ of a symmetric positive matrix, or of a diagonal, scaled to determinant one.

    `damping`, relative to the mean eigenvalue, is added to every eigenvalue first. Of a matrix wider than LARGEST_DENSE
    all eigenvalues except the BASIS_SIZE largest are replaced by their geometric mean.
    """
    if factor.dim() == 1:
        shrink = _shrink(factor.double(), damping)
        return FactorRoot(DiagonalFactor(shrink.float()), DiagonalFactor((1.0 / shrink).float()))
    values, vectors = torch.linalg.eigh(factor.double())
    shrink = _shrink(values, damping)
    if len(values) <= LARGEST_DENSE:
        return FactorRoot(DenseFactor(_matrix(vectors, shrink)), DenseFactor(_matrix(vectors, 1.0 / shrink)))
    largest, kept = vectors[:, -BASIS_SIZE:].float().contiguous(), shrink[-BASIS_SIZE:]
    scale = shrink[:-BASIS_SIZE].log().mean().exp()
    return FactorRoot(
        LowRankPlusIdentity(scale.float(), largest, (kept - scale).float()),
        LowRankPlusIdentity((1.0 / scale).float(), largest, (1.0 / kept - 1.0 / scale).float()),
    )


def to_double(matrix: SymmetricFactor) -> SymmetricFactor:
    """Return a matrix in double precision, on the CPU."""
    return type(matrix)(*(getattr(matrix, one.name).double().cpu() for one in fields(matrix)))


def _shrink(values: torch.Tensor, damping: float) -> torch.Tensor:
    damped = values.clamp(min=0.0) + damping * values.mean().clamp(min=1e-30)
    return (damped / damped.log().mean().exp()).rsqrt()


def _matrix(vectors: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    return ((vectors * values) @ vectors.T).float()
