"""GGUF files, looked at without torch: which file a path names, what its header says, where its model folder is kept.

The header is read with the package `gguf`, which only those need who have such a file. Weights are not looked at here.
"""

from __future__ import annotations

import glob
import json
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from store.durable import write_file
from store.errors import WrongUseError
from store.hashing import HASH_PREFIX, hash_file
from store.wording import counted

if TYPE_CHECKING:
    from pathlib import Path

_MAGIC = b"GGUF"
_POINTER = b"version https://git-lfs"
_MODELS = "models"  # in a workspace's cache/
_HASHES = "gguf-hashes.json"
_NAME_HASH_DIGITS = 16
_LONGEST_REASON = 200
_PLAIN_TYPES = frozenset({"F64", "F32", "F16", "BF16"})
_AGAIN = "download the file again"
_SAFETENSORS = "take the model's safetensors folder instead"


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What a GGUF file says about itself. `quantisation` is the type of most of its weights, such as "Q4_1"."""

    path: Path
    architecture: str
    name: str
    licence: str
    quantisation: str
    pre_tokenizer: str
    elements: int
    tensors: frozenset[str]

    @property
    def is_quantised(self) -> bool:
        """Whether the weights were rounded to fewer bits than any floating-point type has."""
        return self.quantisation not in _PLAIN_TYPES


def named_gguf(path: Path) -> Path | None:
    """Return the GGUF file that a path names: itself, or the only one in a folder without safetensors; else None.

    Raises WrongUseError if a folder has several, or parts of one.
    """
    if path.is_file():
        return path if path.suffix.lower() == ".gguf" or _begins_as_gguf(path) else None
    if not path.is_dir() or any(path.glob("*.safetensors")):
        return None
    found = sorted(file for file in path.iterdir() if file.suffix.lower() == ".gguf" and file.is_file())
    if len(found) > 1:
        _refuse(f"{path} has {len(found)} GGUF files", f"name one of them, such as {found[0]}")
    return found[0] if found else None


def _begins_as_gguf(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def check_gguf_file(path: Path) -> None:
    """Raise WrongUseError, with the cause and the way out, if a file cannot be a GGUF file at all."""
    try:
        with path.open("rb") as stream:
            begins = stream.read(len(_POINTER))
    except OSError as error:
        _refuse(f"{path} cannot be read: {error.strerror or error}", "correct the path")
    if not begins:
        _refuse(f"{path} is empty", _AGAIN)
    if begins == _POINTER:
        _refuse(
            f"{path} is a Git LFS pointer, not the file itself",
            f"fetch it with 'git lfs pull' in {path.parent}, or download the file from the hub",
        )
    if not begins.startswith(_MAGIC):
        _refuse(f"{path} is not a GGUF file: it does not begin with {_MAGIC.decode()}", _AGAIN)


def read_header(path: Path) -> GgufHeader:
    """Read and check the header of a GGUF file.

    Raises WrongUseError if the package `gguf` is missing, the file is broken or cut short, or it is no whole model.
    """
    check_gguf_file(path)
    try:
        from gguf import GGUFReader  # noqa: PLC0415 - not everybody has it
    except ModuleNotFoundError as error:
        raise WrongUseError(
            f"{path}: reading a GGUF file needs the package {error.name}, which is not installed",
            next_step="pip install 'seal-console[gguf]'",
        ) from error
    try:
        reader = GGUFReader(path)
        values = {name: field.contents() for name, field in reader.fields.items() if _is_small(name)}
        types = [(one.name, one.tensor_type.name, int(one.n_elements)) for one in reader.tensors]
    except Exception as error:  # the reader checks nothing, so damage may show as any error
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST_REASON]
        raise WrongUseError(
            f"{path} cannot be read as GGUF: it was cut short or damaged ({reason})", next_step=_AGAIN
        ) from error
    _check_kind(path, values, {name for name, _, _ in types})
    weights: Counter[str] = Counter()
    for _, kind, elements in types:
        weights[kind] += elements
    return GgufHeader(
        path=path,
        architecture=str(values["general.architecture"]),
        name=str(values.get("general.name", path.stem)),
        licence=str(values.get("general.license", "not stated")),
        quantisation=weights.most_common(1)[0][0],
        pre_tokenizer=str(values.get("tokenizer.ggml.pre", "")),
        elements=weights.total(),
        tensors=frozenset(name for name, _, _ in types),
    )


def _is_small(name: str) -> bool:
    return name.startswith(("general.", "split.", "tokenizer.ggml.pre")) or ".rope.scaling." in name


def _check_kind(path: Path, values: dict[str, Any], tensors: set[str]) -> None:
    """Raise WrongUseError for a file that is no whole model, or that says more than transformers would read."""
    if "general.architecture" not in values or not tensors:
        _refuse(f"{path} has no architecture or no tensors, so it is not a model", _AGAIN)
    kind = values.get("general.type", "model")
    if kind != "model":
        _refuse(f"{path} is a GGUF file of the type {kind!r}, not a model", "name the model's own file")
    parts = values.get("split.count", 1)
    if isinstance(parts, int) and parts > 1:
        _refuse(
            f"{path} is one of {counted(parts, 'part')} of a model",
            f"join them with llama.cpp: llama-gguf-split --merge {path.name} whole.gguf",
        )
    scaling = next((key for key in sorted(values) if ".rope.scaling.type" in key), None)
    if scaling is not None and values[scaling] != "none":
        _refuse(
            f"{path} scales its rotary embeddings ({values[scaling]}), which transformers does not read", _SAFETENSORS
        )
    if "rope_freqs.weight" in tensors:
        _refuse(
            f"{path} scales its rotary embeddings (rope_freqs.weight), which transformers does not read", _SAFETENSORS
        )


def require_free(target: Path) -> None:
    """Raise WrongUseError unless a folder can be made at `target`."""
    if target.exists() and not target.is_dir():
        raise WrongUseError(f"{target} is a file.", next_step="Name a new folder.")
    if target.is_dir() and any(target.iterdir()):
        raise WrongUseError(f"{target} is not empty.", next_step="Name a new folder, or delete this one first.")


def folder_in_cache(gguf: Path, cache_folder: Path) -> Path:
    """Return where the converted model of a GGUF file belongs in a workspace's cache, whether it is there or not.

    The name has the hash of the file's bytes, so a changed file gets another folder.
    """
    digest = _hash_of(gguf, cache_folder / _MODELS / _HASHES).removeprefix(HASH_PREFIX)
    return cache_folder / _MODELS / f"{gguf.stem}-{digest[:_NAME_HASH_DIGITS]}"


def converted_folder(model_path: Path, cache_folder: Path) -> Path | None:
    """Return the folder that a workspace's cache has for the GGUF file that a path names; None if there is none yet.

    What is wrong with the path is left to those who load it.
    """
    with suppress(WrongUseError, OSError):
        gguf = named_gguf(model_path)
        if gguf is not None and any((cache_folder / _MODELS).glob(f"{glob.escape(gguf.stem)}-*")):
            folder = folder_in_cache(gguf, cache_folder)
            return folder if folder.is_dir() else None
    return None


def _hash_of(gguf: Path, memory: Path) -> str:
    """Return the hash of a file, remembered for as long as size and time of change stay the same."""
    about = gguf.stat()
    state = [about.st_size, about.st_mtime_ns]
    key = str(gguf.resolve())
    known: dict[str, Any] = {}
    with suppress(OSError, ValueError):
        read = json.loads(memory.read_text(encoding="utf-8"))
        known = read if isinstance(read, dict) else {}
    kept = known.get(key)
    if isinstance(kept, list) and kept[:2] == state and isinstance(kept[-1], str):
        return kept[-1]
    found = hash_file(gguf)
    with suppress(OSError):  # a workspace that is read-only
        memory.parent.mkdir(parents=True, exist_ok=True)
        write_file(memory, json.dumps({**known, key: [*state, found]}, indent=1).encode("utf-8"))
    return found


def _refuse(what: str, next_step: str) -> NoReturn:
    raise WrongUseError(what, next_step=next_step)
