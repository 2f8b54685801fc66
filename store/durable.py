"""Files that exist completely or not at all, even after a power cut: temporary name, fsync, rename, fsync the folder.

A temporary name ends in TEMPORARY_SUFFIX and names the process that wrote it, so that start-up can tell a leftover from
the work of a live process. Not guaranteed: anything on a file system that ignores fsync.
"""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from store.errors import WrongUseError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TEMPORARY_SUFFIX = ".seal-tmp"
_PROCESS_TOKEN = secrets.token_hex(4)


def sync_file(path: Path) -> None:
    """Make a file's content durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Make a folder's entries (names, not contents) durable."""
    sync_file(path)


def write_file(path: Path, content: bytes) -> None:
    """Replace `path` with `content` durably; a reader sees the old file or the new one."""
    temporary = _temporary_name(path)
    try:
        _write_synced(temporary, content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_folder(target: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder with exactly `files` at `target` durably; do nothing if `target` is already a folder."""
    if target.is_dir():
        return
    temporary = _temporary_name(target)
    temporary.mkdir(parents=True)
    try:
        for name, content in files.items():
            _write_synced(temporary / name, content)
        sync_folder(temporary)
        _rename_unless_there(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    sync_folder(target.parent)


@contextmanager
def making_folder(target: Path) -> Iterator[Path]:
    """Give the block a temporary folder to fill; afterwards it is at `target`, durably and whole.

    If the block fails, nothing remains of it. `target` must not exist, or be an empty folder; what an earlier process
    left half made of it is removed. Raises WrongUseError if it cannot be made, or another process made it meanwhile.
    """
    temporary = _temporary_name(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for leftover in list_leftovers(target.parent):
            if leftover.name.startswith(f".{target.name}."):
                remove(leftover)
        temporary.mkdir()
    except (FileNotFoundError, PermissionError, NotADirectoryError, FileExistsError) as error:
        raise WrongUseError(f"{target} cannot be made: {error.strerror}.", next_step="Name another folder.") from error
    try:
        yield temporary
        for path in temporary.rglob("*"):
            sync_file(path)
        sync_folder(temporary)
        try:
            temporary.rename(target)
        except OSError as error:
            if target.is_dir():
                raise WrongUseError(
                    f"{target} was made by another process meanwhile.", next_step="Use it, or name another folder."
                ) from error
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    sync_folder(target.parent)


def list_leftovers(folder: Path) -> Iterator[Path]:
    """Yield the temporary files and folders directly in `folder` whose writer is dead."""
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.name.endswith(TEMPORARY_SUFFIX) and not _writer_lives(path.name):
            yield path


def remove(path: Path) -> None:
    """Delete a file, or a folder with all that is in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("xb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _rename_unless_there(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def _temporary_name(path: Path) -> Path:
    return path.parent / f".{path.name}.{os.getpid()}.{_PROCESS_TOKEN}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}"


def _writer_lives(name: str) -> bool:
    """Return whether the process in a temporary name is alive; this process's own number counts only with its token."""
    parts = name.removesuffix(TEMPORARY_SUFFIX).split(".")
    try:
        pid, token = int(parts[-3]), parts[-2]
    except (IndexError, ValueError):
        return False
    if pid == os.getpid():
        return token == _PROCESS_TOKEN
    return Path(f"/proc/{pid}").exists() if Path("/proc/self").exists() else _answers_signal(pid)


def _answers_signal(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
