"""A model's folder, looked at without torch: whether it can be a base, and the hash of what decides its answers.

Whatever is wrong is said with the file and the way out, before a library fails on it with words of its own.
"""

from __future__ import annotations

import json
import math
import shlex
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NoReturn

from engine.bundled import BUNDLED
from engine.input_files.gguf_file import check_gguf_file, named_gguf
from store.errors import WrongUseError
from store.hashing import hash_file, hash_json

WEIGHTS, INDEX, CONFIG = "model.safetensors", "model.safetensors.index.json", "config.json"
_POINTER = b"version https://git-lfs"
_LONGEST_SHOWN = 100  # characters of a path in a message
_LENGTH_BYTES = 8
_LONGEST_HEADER = 100_000_000  # bytes; safetensors' own limit
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tekken.json")
_OPTIONAL_JSON = ("tokenizer_config.json", "generation_config.json", "special_tokens_map.json", "added_tokens.json")
_DECISIVE = ("*.json", "*.safetensors", "*.jinja", "chat_templates/*.jinja", "*.model", "*.tiktoken", "*.py")
_OTHER_MODEL = "set model.path in seal.yaml to 'bundled' or a local folder of a Hugging Face causal LM"


def model_folder(model_path: str) -> Path:
    """Return the folder of the model that the settings name."""
    if model_path == BUNDLED:
        return Path(str(resources.files("engine") / "bundled" / "model"))
    return Path(model_path).expanduser()


@cache
def folder_fingerprint(folder: Path) -> str:
    """Return the hash of everything in a folder that decides answers: weights, configuration, tokenizer, templates."""
    files = {file for pattern in _DECISIVE for file in folder.glob(pattern)}
    return hash_json({file.relative_to(folder).as_posix(): hash_file(file) for file in sorted(files)})


def text_config(config: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a model's configuration that is about text: that of a multimodal model is nested."""
    nested = (config.get(name) for name in ("text_config", "llm_config", "language_config"))
    return next((one for one in nested if isinstance(one, dict)), config)


def check_model_folder(model_path: str) -> Path:
    """Return the folder if its files can be a base; whether the architecture is known is not looked at.

    Raises WrongUseError that names the first file or setting that stands in the way, and what to do.
    """
    folder = model_folder(model_path)
    try:
        _check_that_it_is_one(folder, model_path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        _refuse(f"{model_path[:_LONGEST_SHOWN]!r} cannot be opened: {reason}")
    _check_kind(folder, read_object(folder / CONFIG))
    _check_weights(folder)
    _check_tokenizer(folder)
    return folder


def _refuse(what: str, next_step: str = _OTHER_MODEL) -> NoReturn:
    raise WrongUseError(f"model.path: {what}", next_step=next_step)


def _check_that_it_is_one(folder: Path, written: str) -> None:
    if folder.is_file():
        if (gguf := named_gguf(folder)) is not None:
            _refuse_gguf(gguf)
        _refuse(f"{folder} is a file, not a model folder")
    if not folder.is_dir():
        names = [part for part in folder.parts if part != folder.anchor][-2:]
        repository = "/".join(names) if len(names) > 1 else "ORGANISATION/MODEL"
        _refuse(
            f"{folder} does not exist; nothing is fetched from a hub",
            f"correct the path ({written!r}), or download the model first, for example: "
            f"hf download {repository} --local-dir DIR",
        )
    if (folder / CONFIG).is_file():
        return
    adapter = folder / "adapter_config.json"
    if adapter.is_file():
        base = read_object(adapter).get("base_model_name_or_path", "not named in it")
        _refuse(
            f"{folder} is an adapter, not a model; its base is {base}",
            "set model.path to the folder of its base, or merge the two with PEFT's merge_and_unload",
        )
    if (gguf := named_gguf(folder)) is not None:
        _refuse_gguf(gguf)
    _refuse(f"{folder} is not a model folder: {CONFIG} is missing")


def _check_kind(folder: Path, config: dict[str, Any]) -> None:
    quantised = config.get("quantization_config") or text_config(config).get("quantization_config")
    if quantised:
        method = quantised.get("quant_method", "an unknown method") if isinstance(quantised, dict) else "?"
        if method == "gguf":  # weights from a GGUF file are written as plain ones, but the key stays
            _refuse(
                f"{folder / CONFIG} has a quantization_config that came from a GGUF file",
                "remove that key from config.json: the weights in the safetensors file are plain ones",
            )
        _refuse(
            f"{folder} is quantised ({method}); inner updates need the weights as they were trained",
            "take the unquantised model, in bfloat16, float16 or float32",
        )
    if (folder / "adapter_config.json").is_file():
        _refuse(
            f"{folder} holds a model and an adapter (adapter_config.json), and loading would apply both",
            "move adapter_config.json and adapter_model.safetensors to a folder of their own",
        )
    if config.get("is_encoder_decoder"):
        _refuse(f"{folder} is an encoder–decoder ({config.get('model_type')}), not a causal language model")


def _check_weights(folder: Path) -> None:
    single, index = folder / WEIGHTS, folder / INDEX
    if single.is_file():
        _check_safetensors(single)
        return
    parts = sorted(folder.glob("*.safetensors"))
    if index.is_file():
        weight_map = read_object(index).get("weight_map")
        if not isinstance(weight_map, dict):
            _refuse(f"{index} has no weight_map", "download the file again")
        listed: dict[str, set[str]] = {}
        for tensor, name in weight_map.items():
            listed.setdefault(str(name), set()).add(tensor)
        for name, tensors in sorted(listed.items()):
            part = folder / name
            if part.parent != folder or not part.is_file():
                _refuse(f"{part} is missing, though {index.name} lists it", "download the file again")
            missing = sorted(tensors - _check_safetensors(part))
            if missing:
                _refuse(f"{part} lacks {missing[0]}, though {index.name} lists it there", "download both files again")
    elif parts:
        _refuse(
            f"{folder} has {len(parts)} weight files, but neither {WEIGHTS} nor {INDEX}", f"download {INDEX} as well"
        )
    elif (gguf := named_gguf(folder)) is not None:
        _refuse_gguf(gguf)
    else:
        _refuse(
            f"{folder} has no *.safetensors file; weights in pickle formats are never read",
            "convert the model to safetensors with transformers' save_pretrained",
        )


def _refuse_gguf(gguf: Path) -> NoReturn:
    """Say how to make a folder of a GGUF file; a workspace that names the file does it by itself."""
    check_gguf_file(gguf)
    _refuse(
        f"{gguf} is a GGUF file, not a model folder",
        f"seal-console model convert {shlex.quote(str(gguf))} DIR makes one",
    )


def _check_safetensors(path: Path) -> set[str]:
    """Check the structure of a safetensors file; returns the names of its tensors."""
    again = "download the file again"
    size = path.stat().st_size
    with path.open("rb") as stream:
        if size == 0:
            _refuse(f"{path} is empty", again)
        _check_no_pointer(path)
        length = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
        if length > min(size - _LENGTH_BYTES, _LONGEST_HEADER):
            _refuse(f"{path} is not a safetensors file, or was cut short", again)
        try:
            header = json.loads(stream.read(length))
            ends = {name: int(one["data_offsets"][1]) for name, one in header.items() if name != "__metadata__"}
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
            _refuse(f"{path} is not a safetensors file: its header cannot be read", again)
    expected = _LENGTH_BYTES + length + max(ends.values(), default=0)
    if size != expected:
        _refuse(f"{path} was cut short or damaged: it has {size:,} bytes, its header says {expected:,}", again)
    return set(ends)


def count_parameters(folder: Path) -> int:
    """Return how many numbers the weights of a checked folder hold, from the headers of its files alone."""
    return sum(math.prod(shape) for file in folder.glob("*.safetensors") for shape in _shapes(file))


def _shapes(path: Path) -> list[list[int]]:
    with path.open("rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(_LENGTH_BYTES), "little")))
    return [one["shape"] for name, one in header.items() if name != "__metadata__"]


def _check_tokenizer(folder: Path) -> None:
    files = [folder / name for name in _TOKENIZERS if (folder / name).is_file()]
    if not files:
        _refuse(
            f"{folder} has no tokenizer ({', '.join(_TOKENIZERS[:3])}, …)", "download the tokenizer's files as well"
        )
    for file in files:
        if file.suffix == ".json":
            read_object(file)
        else:
            _check_no_pointer(file)
    for name in _OPTIONAL_JSON:
        if (folder / name).is_file():
            read_object(folder / name)


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object; raises WrongUseError that names the file."""
    _check_no_pointer(path)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        _refuse(f"{path} cannot be read as JSON: {error}", "download the file again")
    if not isinstance(found, dict):
        _refuse(f"{path} is not a JSON object", "download the file again")
    return found


def _check_no_pointer(path: Path) -> None:
    with path.open("rb") as stream:
        if stream.read(len(_POINTER)) == _POINTER:
            _refuse(
                f"{path} is a Git LFS pointer, not the file itself",
                f"fetch it with 'git lfs pull' in {path.parent}, or download the file from the hub",
            )
