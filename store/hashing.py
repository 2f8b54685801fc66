"""Identity: algorithm-tagged hashes of bytes, text, files and canonical JSON."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

HASH_PREFIX = "sha256:"
_CHUNK_BYTES = 1 << 20


def canonical_json(value: Any) -> str:
    """Write `value` in the one JSON form that hashes are taken of: sorted keys, no spaces, UTF-8, no NaN or Inf.

    Raises ValueError for a float that JSON has no word for.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def hash_bytes(content: bytes) -> str:
    """Return the tagged hash of `content`."""
    return HASH_PREFIX + hashlib.sha256(content).hexdigest()


def hash_text(text: str) -> str:
    """Return the tagged hash of `text` as UTF-8."""
    return hash_bytes(text.encode("utf-8"))


def hash_json(value: Any) -> str:
    """Return the tagged hash of the canonical JSON of `value`."""
    return hash_text(canonical_json(value))


def hash_file(path: Path) -> str:
    """Return the tagged hash of a file's bytes, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return HASH_PREFIX + digest.hexdigest()
