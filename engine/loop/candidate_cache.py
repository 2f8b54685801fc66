"""Adapters of candidates in the workspace's cache, by content hash.

The cache may be deleted at any time: its candidates can then no longer be accepted, but nothing accepted is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from store.adapter_files import ADAPTER_NAMES, hash_adapter
from store.durable import write_folder
from store.errors import CorruptError, WrongUseError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from store.workspace import Workspace


def keep_adapter(workspace: Workspace, files: Mapping[str, bytes]) -> str:
    """Write an adapter's files durably; returns the hash under which they are found again."""
    hashed = hash_adapter(files)
    write_folder(_folder(workspace, hashed), files)
    return hashed


def cached_adapter(workspace: Workspace, hashed: str) -> dict[str, bytes]:
    """Return an adapter's files. Raises WrongUseError if they are gone, CorruptError if they have changed."""
    folder = _folder(workspace, hashed)
    if not folder.is_dir():
        raise WrongUseError(
            f"the candidate's adapter is no longer in {folder}: the cache was cleared",
            next_step="seal-console run --rounds 1 trains new candidates",
        )
    files = {name: (folder / name).read_bytes() for name in ADAPTER_NAMES}
    if hash_adapter(files) != hashed:
        raise CorruptError(f"{folder}: the files are not the ones that were evaluated", next_step=f"delete {folder}")
    return files


def _folder(workspace: Workspace, hashed: str) -> Path:
    return workspace.cache_folder / "adapters" / hashed.removeprefix("sha256:")
