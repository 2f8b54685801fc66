"""Tensors in the workspace's cache; a file that cannot be read, or was changed since, counts as missing.

The cache may be deleted at any time; its files are named by the hash of everything they depend on, and the hash of each
file's own content lies next to it. Not guaranteed: anything if somebody changes both.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import safetensors.torch
import torch

from store.durable import write_file
from store.hashing import hash_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def cached_file(cache_folder: Path, kind: str, identity: str) -> Path:
    """Return the path of the tensors of one kind that depend on everything behind a hash."""
    return cache_folder / kind / f"{identity.removeprefix('sha256:')}.safetensors"


def read_tensors(path: Path) -> dict[str, torch.Tensor] | None:
    """Return the tensors of a file; None if it is not as it was written, or a number is not finite."""
    with suppress(OSError, ValueError, safetensors.SafetensorError):
        content = path.read_bytes()
        if _hash_file(path).read_text(encoding="ascii").strip() != hash_bytes(content):
            return None
        tensors: dict[str, torch.Tensor] = safetensors.torch.load(content)
        if all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
            return tensors
    return None


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write tensors durably, then their hash; each tensor must own its memory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = safetensors.torch.save(dict(tensors))
    write_file(path, content)
    write_file(_hash_file(path), f"{hash_bytes(content)}\n".encode("ascii"))


def _hash_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")
