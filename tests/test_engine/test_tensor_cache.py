"""What the cache of tensors gives back is what was written to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import safetensors.torch
import torch

from engine.continual.tensor_cache import cached_file, read_tensors, write_tensors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def other_numbers(path: Path) -> None:
    path.write_bytes(safetensors.torch.save({"a": torch.full((3,), 2.0)}))


def one_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def no_hash(path: Path) -> None:
    path.with_name(f"{path.name}.sha256").unlink()


def no_text(path: Path) -> None:
    path.with_name(f"{path.name}.sha256").write_bytes(b"\xff")


@pytest.mark.parametrize("change", [other_numbers, one_byte, no_hash, no_text])
def test_a_file_that_was_changed_counts_as_missing(tmp_path: Path, change: Callable[[Path], None]) -> None:
    path = cached_file(tmp_path, "curvature", "sha256:" + "a" * 64)
    assert read_tensors(path) is None
    write_tensors(path, {"a": torch.ones(3)})
    found = read_tensors(path)
    assert found is not None
    assert found["a"].tolist() == [1.0, 1.0, 1.0]
    change(path)
    assert read_tensors(path) is None
    write_tensors(path, {"a": torch.ones(3)})
    assert read_tensors(path) is not None
