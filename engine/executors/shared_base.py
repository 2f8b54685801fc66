"""A base that several processes use: its weights are in one file in memory, which each of them maps.

The base is pickled without its tensors. Those are written once to an anonymous file; whoever gets the file's descriptor
and the pickle has the same model, checked and converted as it was, for the memory of everything else. Each process maps
the file privately: pages are shared as long as nobody writes to them, and nobody does, since the base is frozen.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from engine.model.base import BaseModel

_ALIGNMENT = 64  # bytes: what torch gives its own tensors
_WRITTEN_AT_ONCE = 2**30


@dataclass(frozen=True, slots=True)
class _TensorPlace:
    """Where a tensor is in the file: that of its storage, in bytes, and its view of it, in elements."""

    offset: int
    elements: int
    dtype: torch.dtype
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    first: int


class SharedBase:
    """A base in memory that other processes can map: `descriptor` of the file of weights, and `pickled`, the rest.

    The given base is changed to use the file too, so that its weights are in memory once. Raises pickle.PicklingError,
    TypeError or AttributeError if the model has parts that cannot be pickled.
    """

    def __init__(self, base: BaseModel) -> None:
        self.descriptor = _memory_file()
        try:
            pickler = _BasePickler(self.descriptor)
            pickler.dump(base)
            self.pickled = pickler.text.getvalue()
            mapped = _MappedFile(self.descriptor)
            for parameter in base.model.parameters():
                if (place := pickler.place_of(parameter.data)) is not None:
                    parameter.data = mapped.tensor(place)
        except BaseException:
            os.close(self.descriptor)
            raise

    def close(self) -> None:
        """Close the descriptor; the file lasts as long as somebody maps it."""
        os.close(self.descriptor)


def map_base(pickled: bytes, descriptor: int) -> BaseModel:
    """Return the base of another process. `pickled` must come from a process that is trusted."""
    base: BaseModel = _BaseUnpickler(pickled, _MappedFile(descriptor)).load()
    return base


class _BasePickler(pickle.Pickler):
    """Pickles everything except tensors, which it writes to the file: each storage once."""

    def __init__(self, descriptor: int) -> None:
        self.text = io.BytesIO()
        super().__init__(self.text, protocol=pickle.HIGHEST_PROTOCOL)
        self._descriptor, self._end = descriptor, 0
        self._offsets: dict[int, int] = {}
        self._kept: list[torch.Tensor] = []  # an address names a storage only while that lives

    def persistent_id(self, obj: Any) -> _TensorPlace | None:
        """Return the place of a tensor; parameters are pickled as such, around theirs."""
        return self._written(obj) if type(obj) is torch.Tensor else None

    def place_of(self, tensor: torch.Tensor) -> _TensorPlace | None:
        """Return where a tensor was written; None if it was not."""
        offset = self._offsets.get(tensor.untyped_storage().data_ptr())
        return None if offset is None else _placed(tensor, offset)

    def _written(self, tensor: torch.Tensor) -> _TensorPlace:
        if tensor.device.type != "cpu" or tensor.layout != torch.strided:
            raise pickle.PicklingError(f"a tensor on {tensor.device} in layout {tensor.layout} cannot be shared")
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._offsets:
            self._offsets[storage.data_ptr()] = self._end
            self._kept.append(tensor)
            content = torch.empty(0, dtype=torch.uint8).set_(storage).numpy().data
            for at in range(0, len(content), _WRITTEN_AT_ONCE):
                _write(self._descriptor, content[at : at + _WRITTEN_AT_ONCE], self._end + at)
            self._end += -(-len(content) // _ALIGNMENT) * _ALIGNMENT
        return _placed(tensor, self._offsets[storage.data_ptr()])


class _BaseUnpickler(pickle.Unpickler):
    def __init__(self, pickled: bytes, file: _MappedFile) -> None:
        super().__init__(io.BytesIO(pickled))
        self._file = file

    def persistent_load(self, pid: Any) -> torch.Tensor:
        """Return the tensor at a place."""
        return self._file.tensor(pid)


class _MappedFile:
    def __init__(self, descriptor: int) -> None:
        size = os.fstat(descriptor).st_size
        protection = mmap.PROT_READ | mmap.PROT_WRITE  # torch warns of memory that it must not write to
        self._memory = mmap.mmap(descriptor, size, flags=mmap.MAP_PRIVATE, prot=protection) if size else None

    def tensor(self, place: _TensorPlace) -> torch.Tensor:
        """Return a view of the file, which it keeps mapped."""
        if self._memory is None or place.elements == 0:
            return torch.empty(place.shape, dtype=place.dtype)
        whole = torch.frombuffer(self._memory, dtype=place.dtype, count=place.elements, offset=place.offset)
        return whole.as_strided(place.shape, place.stride, place.first)


def _placed(tensor: torch.Tensor, offset: int) -> _TensorPlace:
    elements = tensor.untyped_storage().nbytes() // tensor.element_size()
    return _TensorPlace(
        offset, elements, tensor.dtype, tuple(tensor.shape), tensor.stride(), int(tensor.storage_offset())
    )


def _memory_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("seal-console base")
    with tempfile.TemporaryFile() as file:  # a system without files in memory
        return os.dup(file.fileno())


def _write(descriptor: int, content: memoryview, at: int) -> None:
    done = 0
    while done < len(content):
        done += os.pwrite(descriptor, content[done:], at + done)
