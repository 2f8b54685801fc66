"""Adapters of candidates in the cache: whatever changed there since they were evaluated is never used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.loop.candidate_cache import cached_adapter, keep_adapter
from store.errors import CorruptError, WrongUseError
from store.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILES = {"adapter_config.json": b"{}", "adapter_model.safetensors": b"weights"}


def change(folder: Path) -> None:
    (folder / "adapter_model.safetensors").write_bytes(b"Weights")


def remove_one(folder: Path) -> None:
    (folder / "adapter_config.json").unlink()


@pytest.mark.parametrize("damage", [change, remove_one])
def test_a_changed_adapter_is_refused_and_written_again(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    workspace = Workspace(tmp_path)
    hashed = keep_adapter(workspace, FILES)
    assert cached_adapter(workspace, hashed) == FILES
    [folder] = (workspace.cache_folder / "adapters").iterdir()
    damage(folder)
    with pytest.raises(CorruptError, match="not those that were evaluated") as caught:
        cached_adapter(workspace, hashed)
    assert caught.value.next_step.startswith(f"rm -r {folder}; ")
    assert keep_adapter(workspace, FILES) == hashed
    assert cached_adapter(workspace, hashed) == FILES


def test_a_cleared_cache_says_so(tmp_path: Path) -> None:
    with pytest.raises(WrongUseError, match="the cache was cleared"):
        cached_adapter(Workspace(tmp_path), "sha256:0")
