"""How far apart two adapters are: the Euclidean norm of the difference of their matrices A and B, as they are stored.

Two adapters whose products B·A are the same may still lie apart: the products themselves are not compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, deserialize

from store.errors import CorruptError, WrongUseError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_NUMPY_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}
_deserialize: Any = deserialize


@dataclass(frozen=True, slots=True)
class WeightDistance:
    """Euclidean norm of the difference of all matrices A and B, the same over the norm of the first, and how many."""

    norm: float
    relative: float | None
    tensors: int


def weight_distance(first: bytes, second: bytes) -> WeightDistance:
    """Compare two files of weights. Raises WrongUseError where names or shapes differ, CorruptError for other files."""
    one, other = _tensors(first), _tensors(second)
    shapes = [{name: value.shape for name, value in tensors.items()} for tensors in (one, other)]
    if shapes[0] != shapes[1]:
        raise WrongUseError("the adapters have matrices of other names or shapes, which cannot be subtracted")
    squared = sum(float(np.sum((one[name] - other[name]) ** 2)) for name in one)
    size = sum(float(np.sum(value**2)) for value in one.values()) ** 0.5
    norm = squared**0.5
    return WeightDistance(norm, norm / size if size else None, len(one))


def _tensors(content: bytes) -> Mapping[str, NDArray[np.float64]]:
    try:
        found = _deserialize(content)
    except SafetensorError as error:
        raise CorruptError(f"the weights cannot be read: {error}") from error
    return {name: _as_float(tensor).reshape(tensor["shape"]) for name, tensor in found}


def _as_float(tensor: Mapping[str, Any]) -> NDArray[np.float64]:
    kind, data = str(tensor["dtype"]), bytes(tensor["data"])
    if kind == "BF16":
        # bfloat16, which numpy does not know, is the upper half of float32.
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4").astype(np.float64)
    if kind not in _NUMPY_TYPES:
        raise WrongUseError(f"weights of the type {kind} cannot be compared here")
    return np.frombuffer(data, _NUMPY_TYPES[kind]).astype(np.float64)
