"""Tensors in the workspace's cache; a file that cannot be read counts as missing.

The cache may be deleted at any time; its files are named by the hash of everything they depend on.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import safetensors.torch
import torch

from store.durable import write_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def cached_file(cache_folder: Path, kind: str, identity: str) -> Path:
    """Return the path of the tensors of one kind that depend on everything behind a hash."""
    return cache_folder / kind / f"{identity.removeprefix('sha256:')}.safetensors"


def read_tensors(path: Path) -> dict[str, torch.Tensor] | None:
    """Return the tensors of a file; None if it cannot be read, or a number is not finite."""
    with suppress(OSError, safetensors.SafetensorError):
        tensors: dict[str, torch.Tensor] = safetensors.torch.load(path.read_bytes())
        if all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
            return tensors
    return None


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write tensors durably; each must own its memory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, safetensors.torch.save(dict(tensors)))
