"""Reads text files, and names them for messages and records.

Line ends become line feeds and a byte-order mark is dropped; nothing else of the text changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from store.hashing import hash_bytes
from store.sanitize import sanitize_line

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class TextFile:
    """A file's text, the name that messages and records use for it, and the hash of its bytes."""

    name: str
    text: str
    content_hash: str


class UnreadableFileError(Exception):
    """A file cannot be read as text; the message has its name and the reason."""


def read_text_file(path: Path, root: Path | None) -> TextFile:
    """Read a file as UTF-8; raises UnreadableFileError."""
    name = display_name(path, root)
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except FileNotFoundError as error:
        raise UnreadableFileError(f"{name}: does not exist") from error
    except OSError as error:
        raise UnreadableFileError(f"{name}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UnreadableFileError(f"{name}:{line}: not UTF-8") from error
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
