"""Keeps the coordinates of a base and its anchors in the workspace's cache: measuring them is a pass over all anchors.

A file that cannot be read, or does not fit, is measured anew; the cache may be deleted at any time.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from engine.bank.coordinates import Coordinates, Diagonal, FewDirections, Root, Symmetric, Whole
from engine.curvature import DAMPING, measure_curvature
from engine.lora.adapter import adaptable_modules
from engine.progress import Progress
from engine.tensor_cache import cached_file, read_tensors, write_tensors
from store.hashing import hash_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import torch

    from engine.bank.job import TrainingSequence
    from engine.lookalikes import Lookalike
    from engine.model.base import BaseModel
    from engine.session import Session

_FORMAT = 3  # of the file, and of how it is measured
_SIDES = ("inputs", "outputs")
_KINDS: tuple[type[Whole | Diagonal | FewDirections], ...] = (Whole, Diagonal, FewDirections)
_SEED = 0


def cached_coordinates(
    session: Session, anchors: Sequence[TrainingSequence], made_up: Sequence[Lookalike]
) -> tuple[Coordinates, str]:
    """Return the coordinates of the session's base over anchors and what was made up of them.

    And the hash of all that they depend on; what is made up follows from the anchors.
    """
    base = session.base
    tokens = [[list(one.tokens), one.learnt_from] for one in anchors]
    identity = hash_json([_FORMAT, base.fingerprint, str(base.precision), DAMPING, _SEED, tokens])
    path = cached_file(session.workspace.cache_folder, "curvature", identity)
    found = _read(path, base)
    if found is None:
        note = f"Measuring what the base knows of {len(anchors):,} anchors."
        session.report(Progress("round", 0, 0, note=note))
        measured = [*anchors, *(one.sequence for one in made_up)]
        found = measure_curvature(base, measured, _SEED, session.report).coordinates()
        write_tensors(path, _tensors(found))
    return found, identity


def _tensors(coordinates: Coordinates) -> dict[str, torch.Tensor]:
    sides = zip(_SIDES, (coordinates.inputs, coordinates.outputs), strict=True)
    matrices = {
        f"{side}/{module}/{part}": matrix
        for side, roots in sides
        for module, root in roots.items()
        for part, matrix in (("matrix", root.matrix), ("inverse", root.inverse))
    }
    # A matrix and its inverse share their directions; safetensors wants each tensor to have memory of its own.
    return {
        f"{where}/{type(matrix).__name__}/{one.name}": getattr(matrix, one.name).cpu().clone()
        for where, matrix in matrices.items()
        for one in fields(matrix)
    }


def _read(path: Path, base: BaseModel) -> Coordinates | None:
    tensors = read_tensors(path)
    if tensors is None:
        return None
    try:
        inputs, outputs = (
            {module: _root(tensors, f"{side}/{module}", base) for module in adaptable_modules(base.model)}
            for side in _SIDES
        )
    except KeyError:
        return None
    return Coordinates(inputs, outputs)


def _root(tensors: dict[str, torch.Tensor], where: str, base: BaseModel) -> Root:
    return Root(*(_symmetric(tensors, f"{where}/{part}", base) for part in ("matrix", "inverse")))


def _symmetric(tensors: dict[str, torch.Tensor], where: str, base: BaseModel) -> Symmetric:
    """Raises KeyError where no kind of matrix is there whole."""
    for kind in _KINDS:
        names = [f"{where}/{kind.__name__}/{one.name}" for one in fields(kind)]
        if names[0] in tensors:
            return kind(*(tensors[name].to(base.device) for name in names))
    raise KeyError(where)
