"""Reads text files, and names them for messages and records.

Line ends become line feeds and a byte-order mark is dropped; nothing else of the text changes. A file is read only if
it is a regular one of a size that its format can be read in: a mistaken path must not fill the memory.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from store.hashing import hash_bytes
from store.sanitize import sanitize_line

if TYPE_CHECKING:
    from pathlib import Path


_LARGEST, _LARGEST_JSON = 4_000_000, 64_000_000
_JSON_SUFFIXES = (".json", ".jsonl")


@dataclass(frozen=True, slots=True)
class TextFile:
    """A file's text, the name that messages and records use for it, and the hash of its bytes."""

    name: str
    text: str
    content_hash: str


class UnreadableFileError(Exception):
    """A file cannot be read as text; the message has its name and the reason."""


def largest_size(path: Path) -> int:
    """Return how many bytes a file of this kind may have. YAML is slow to read; JSON can hold whole collections."""
    return _LARGEST_JSON if path.suffix.lower() in _JSON_SUFFIXES else _LARGEST


def read_text_file(path: Path, root: Path | None) -> TextFile:
    """Read a file as UTF-8; raises UnreadableFileError."""
    name = display_name(path, root)
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise UnreadableFileError(f"{name}: not a regular file")
        if about.st_size > largest_size(path):
            raise UnreadableFileError(
                f"{name}: has {about.st_size:,} bytes, more than the {largest_size(path):,} that such a file may have; "
                "split it"
            )
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except FileNotFoundError as error:
        raise UnreadableFileError(f"{name}: does not exist") from error
    except OSError as error:
        raise UnreadableFileError(f"{name}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        form = " but UTF-16; save it as UTF-8" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else ""
        raise UnreadableFileError(f"{name}:{line}: not UTF-8{form}") from error
    return TextFile(name, text.replace("\r\n", "\n").replace("\r", "\n"), hash_bytes(content))


def display_name(path: Path, root: Path | None) -> str:
    """Return a path for messages and records: relative to `root` if it is below it."""
    if root is not None and path.resolve().is_relative_to(root.resolve()):
        return as_utf8(path.resolve().relative_to(root.resolve()).as_posix())
    return as_utf8(path.as_posix())


def as_utf8(name: str) -> str:
    """Return the name of a file; one that is not UTF-8, which neither hash nor database takes, with visible signs."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return sanitize_line(name)
    return name
