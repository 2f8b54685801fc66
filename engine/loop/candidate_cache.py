"""Adapters of candidates in the workspace's cache, by content hash.

The cache may be deleted at any time: its candidates can then no longer be accepted, but nothing accepted is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from store.adapter_files import ADAPTER_NAMES, hash_adapter
from store.durable import remove, write_folder
from store.errors import CorruptError, WrongUseError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from store.workspace import Workspace


def keep_adapter(workspace: Workspace, files: Mapping[str, bytes]) -> str:
    """Write an adapter's files durably; returns the hash under which they are found again."""
    hashed = hash_adapter(files)
    folder = _folder(workspace, hashed)
    if folder.is_dir() and _read(folder) != {name: files[name] for name in ADAPTER_NAMES}:
        remove(folder)  # changed since it was written
    write_folder(folder, files)
    return hashed


def cached_adapter(workspace: Workspace, hashed: str) -> dict[str, bytes]:
    """Return an adapter's files, which have this hash. Raises WrongUseError if they are gone, CorruptError if not."""
    folder = _folder(workspace, hashed)
    if not folder.is_dir():
        raise WrongUseError(
            f"the candidate's adapter is no longer in {folder}: the cache was cleared",
            next_step="seal-console run --rounds 1 trains new candidates",
        )
    files = _read(folder)
    if files is None or hash_adapter(files) != hashed:
        raise CorruptError(
            f"{folder}: the files are not those that were evaluated, so the candidate cannot be used.",
            next_step=f"rm -r {folder}; then seal-console run --rounds 1 trains new candidates.",
        )
    return files


def _read(folder: Path) -> dict[str, bytes] | None:
    """Return the files of a folder, None if one is missing or cannot be read."""
    try:
        return {name: (folder / name).read_bytes() for name in ADAPTER_NAMES}
    except OSError:
        return None


def _folder(workspace: Workspace, hashed: str) -> Path:
    return workspace.cache_folder / "adapters" / hashed.removeprefix("sha256:")
