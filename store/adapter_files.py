"""The two files of an adapter: their names, their hash and whether they are valid; names of a version's other files.

Valid means that the weights parse as safetensors and are finite, and that the configuration is a JSON object. The
engine checks whether they fit a model.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from store.hashing import hash_bytes, hash_json

if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIG_NAME = "adapter_config.json"
WEIGHTS_NAME = "adapter_model.safetensors"
ADAPTER_NAMES = (CONFIG_NAME, WEIGHTS_NAME)
MANIFEST_NAME = "manifest.json"
CARD_NAME = "README.md"
VERSION_NAMES = (*ADAPTER_NAMES, MANIFEST_NAME, CARD_NAME)

# A float whose exponent bits are all ones is NaN or infinite; float8 E4M3 has no infinity, and one NaN of each sign.
_EXPONENT_BITS: dict[str, tuple[str, int]] = {
    "F64": ("<u8", 0x7FF0000000000000),
    "F32": ("<u4", 0x7F800000),
    "F16": ("<u2", 0x7C00),
    "BF16": ("<u2", 0x7F80),
    "F8_E5M2": ("<u1", 0x7C),
    "F8_E4M3": ("<u1", 0x7F),
}
_WHOLE_NUMBERS = frozenset({"BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64"})


def hash_adapter(adapter_files: Mapping[str, bytes]) -> str:
    """Return an adapter's identity: the hash of the canonical JSON of both files' names and hashes."""
    return hash_json({name: hash_bytes(adapter_files[name]) for name in ADAPTER_NAMES})


def adapter_problems(adapter_files: Mapping[str, bytes]) -> list[str]:
    """Return one sentence for each problem with an adapter's files; empty if they are valid."""
    problems = [f"{name} is missing" for name in ADAPTER_NAMES if name not in adapter_files]
    problems += [f"{name} does not belong to an adapter" for name in sorted(adapter_files.keys() - set(ADAPTER_NAMES))]
    if CONFIG_NAME in adapter_files:
        problems += _config_problems(adapter_files[CONFIG_NAME])
    if WEIGHTS_NAME in adapter_files:
        problems += weights_problems(adapter_files[WEIGHTS_NAME])
    return problems


def weights_problems(content: bytes) -> list[str]:
    """Return the problems with a safetensors file: structure, no tensors, values that are not finite."""
    import safetensors  # noqa: PLC0415 - with NumPy, loaded only when weights are read: the console needs neither

    deserialize: Any = safetensors.deserialize
    try:
        tensors = deserialize(content)
    except safetensors.SafetensorError as error:
        return [f"{WEIGHTS_NAME} is not a safetensors file: {error}"]
    if not tensors:
        return [f"{WEIGHTS_NAME} has no tensors"]
    problems = []
    for name, tensor in tensors:
        kind = str(tensor["dtype"])
        if kind in _WHOLE_NUMBERS:
            continue
        if kind not in _EXPONENT_BITS:
            problems.append(f"{WEIGHTS_NAME}: tensor {name!r} is of the unknown type {kind}")
        elif not _is_finite(kind, bytes(tensor["data"])):
            problems.append(f"{WEIGHTS_NAME}: tensor {name!r} has values that are not finite")
    return problems


def _config_problems(content: bytes) -> list[str]:
    try:
        config = json.loads(content)
    except ValueError as error:
        return [f"{CONFIG_NAME} is not JSON: {error}"]
    return [] if isinstance(config, dict) else [f"{CONFIG_NAME} is not a JSON object"]


def _is_finite(kind: str, data: bytes) -> bool:
    import numpy as np  # noqa: PLC0415

    width, exponent_bits = _EXPONENT_BITS[kind]
    bits = np.frombuffer(data, dtype=width)
    return not bool(np.any((bits & np.array(exponent_bits, dtype=width)) == exponent_bits))
