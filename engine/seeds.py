"""Seeds derived from names, so that randomness in one place does not depend on what happened in another."""

from __future__ import annotations

import hashlib

from store.hashing import canonical_json


def derive_seed(*parts: str | int | None) -> int:
    """Return a seed (0 … 2³¹ − 1) that depends on all parts and their order."""
    digest = hashlib.sha256(canonical_json(list(parts)).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
