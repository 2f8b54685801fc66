"""Coordinates in which an inner update moves where the model knows little, and keeps still where it knows much.

How much a layer's weights matter to what the model says of anchor texts is measured in Kronecker form (K-FAC, Martens
and Grosse 2015, arXiv 1503.05671; `engine/continual/curvature.py`): C, from the outer products of the layer's inputs,
times G, from those of the gradients of its outputs. An adapter is trained as A = A′ P and B = Q B′ with P = C^-½ and Q
= G^-½: a step of the same size in A′ and B′ changes the anchors' logits as little in every direction. This is the
curvature penalty of Ritter et al. 2018 (arXiv 1805.07810) turned into a change of variables, which costs two small
products a layer and step, and leaves an ordinary adapter behind.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch

from engine.lora.adapter import Adapter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.model.adapted_linear import SlotMatrices

LARGEST_WHOLE = 256  # inputs or outputs; of a larger factor only the directions that matter most are kept,
DIRECTIONS = 64  # so many: the product costs two of that width then, and memory grows with the width alone.
LARGEST_MEASURED = 1024  # a larger factor is measured as its diagonal: a model has hundreds, and eigenvectors take long


@dataclass(frozen=True, slots=True)
class DenseFactor:
    """A symmetric matrix [n, n]."""

    matrix: torch.Tensor

    def behind(self, x: torch.Tensor) -> torch.Tensor:
        """Return x M for x [..., m, n]."""
        return x @ self.matrix

    def before(self, x: torch.Tensor) -> torch.Tensor:
        """Return M x for x [..., n, m]."""
        return self.matrix @ x


@dataclass(frozen=True, slots=True)
class DiagonalFactor:
    """The diagonal [n] of a matrix that has nothing beside it."""

    values: torch.Tensor

    def behind(self, x: torch.Tensor) -> torch.Tensor:
        """Return x M for x [..., m, n]."""
        return x * self.values

    def before(self, x: torch.Tensor) -> torch.Tensor:
        """Return M x for x [..., n, m]."""
        return self.values[:, None] * x


@dataclass(frozen=True, slots=True)
class LowRankPlusIdentity:
    """A symmetric matrix that scales by `rest` [] but along some orthonormal directions, the columns of [n, k].

    `more` [k] is what comes on top along each of them.
    """

    rest: torch.Tensor
    directions: torch.Tensor
    more: torch.Tensor

    def behind(self, x: torch.Tensor) -> torch.Tensor:
        """Return x M for x [..., m, n]."""
        rows = (x * self.rest).view(-1, x.shape[-1])
        along = (x @ self.directions).mul_(self.more).view(len(rows), -1)
        return rows.addmm_(along, self.directions.T).view(x.shape)

    def before(self, x: torch.Tensor) -> torch.Tensor:
        """Return M x for x [..., n, m]."""
        along = (self.directions.T @ x).mul_(self.more[:, None]).view(-1, len(self.more), x.shape[-1])
        rows = (x * self.rest).view(-1, *x.shape[-2:])
        return rows.baddbmm_(self.directions.expand(len(rows), -1, -1), along).view(x.shape)


Symmetric = DenseFactor | DiagonalFactor | LowRankPlusIdentity


@dataclass(frozen=True, slots=True)
class FactorRoot:
    """A symmetric matrix and its inverse."""

    matrix: Symmetric
    inverse: Symmetric


@dataclass(frozen=True, slots=True)
class KroneckerPreconditioner:
    """P and Q of each layer by module name."""

    inputs: Mapping[str, FactorRoot]
    outputs: Mapping[str, FactorRoot]

    def to_weights(self, matrices: Mapping[str, SlotMatrices]) -> None:
        """Turn A′ and B′ in a stack's views into A and B, in place."""
        for name, of_layer in matrices.items():
            of_layer.a.copy_(self.inputs[name].matrix.behind(of_layer.a))
            of_layer.b.copy_(self.outputs[name].matrix.before(of_layer.b))

    def to_gradients(self, matrices: Mapping[str, SlotMatrices]) -> None:
        """Turn the gradients of A and B into those of A′ and B′, in place."""
        for name, of_layer in matrices.items():
            if of_layer.a_grad is not None and of_layer.b_grad is not None:
                of_layer.a_grad.copy_(self.inputs[name].matrix.behind(of_layer.a_grad))
                of_layer.b_grad.copy_(self.outputs[name].matrix.before(of_layer.b_grad))

    def into(self, adapters: Sequence[Adapter]) -> list[Adapter]:
        """Write adapters in these coordinates."""
        return self._changed(adapters, inverse=True)

    def out_of(self, adapters: Sequence[Adapter]) -> list[Adapter]:
        """Read adapters that are written in these coordinates."""
        return self._changed(adapters, inverse=False)

    def _changed(self, adapters: Sequence[Adapter], *, inverse: bool) -> list[Adapter]:
        """In double precision: an adapter goes through this once for each edit, and nothing shall be worn off."""
        changed: list[dict[str, tuple[torch.Tensor, torch.Tensor]]] = [{} for _ in adapters]
        for name in adapters[0].weights if adapters else ():
            p, q = self.inputs[name], self.outputs[name]
            left, right = (exact(one.inverse if inverse else one.matrix) for one in (q, p))
            for adapter, weights in zip(adapters, changed, strict=True):
                a, b = adapter.weights[name]
                weights[name] = (right.behind(a.double()).float(), left.before(b.double()).float())
        return [Adapter(adapter.spec, weights) for adapter, weights in zip(adapters, changed, strict=True)]


def root_of(factor: torch.Tensor, damping: float) -> FactorRoot:
    """Return factor^-½ of a symmetric positive matrix, or of a diagonal, scaled to determinant one.

    `damping`, relative to the mean eigenvalue, is added to every eigenvalue first. Of a matrix wider than LARGEST_WHOLE
    all eigenvalues but the DIRECTIONS largest become their geometric mean.
    """
    if factor.dim() == 1:
        shrink = _shrink(factor.double(), damping)
        return FactorRoot(DiagonalFactor(shrink.float()), DiagonalFactor((1.0 / shrink).float()))
    values, vectors = torch.linalg.eigh(factor.double())
    shrink = _shrink(values, damping)
    if len(values) <= LARGEST_WHOLE:
        return FactorRoot(DenseFactor(_matrix(vectors, shrink)), DenseFactor(_matrix(vectors, 1.0 / shrink)))
    largest, kept = vectors[:, -DIRECTIONS:].float().contiguous(), shrink[-DIRECTIONS:]
    rest = shrink[:-DIRECTIONS].log().mean().exp()
    return FactorRoot(
        LowRankPlusIdentity(rest.float(), largest, (kept - rest).float()),
        LowRankPlusIdentity((1.0 / rest).float(), largest, (1.0 / kept - 1.0 / rest).float()),
    )


def exact(matrix: Symmetric) -> Symmetric:
    """Return a matrix in double precision, on the CPU."""
    return type(matrix)(*(getattr(matrix, one.name).double().cpu() for one in fields(matrix)))


def _shrink(values: torch.Tensor, damping: float) -> torch.Tensor:
    damped = values.clamp(min=0.0) + damping * values.mean().clamp(min=1e-30)
    return (damped / damped.log().mean().exp()).rsqrt()


def _matrix(vectors: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    return ((vectors * values) @ vectors.T).float()
