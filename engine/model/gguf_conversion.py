"""Converts a GGUF file into a model folder in safetensors: weights de-quantised, tokenizer and template taken over.

transformers does the reading. What it would leave out without a word is found here: tensors that it does not know, and
the way in which some tokenizers cut numbers. No code that comes with a file is run; a GGUF file cannot even hold any.
"""

from __future__ import annotations

import io
import json
import tempfile
from contextlib import redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import torch
import transformers
from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from engine.input_files.gguf_file import read_header, require_free
from engine.model.base import quiet
from store.durable import making_folder
from store.errors import SealError, WrongUseError
from store.hashing import hash_file
from store.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.input_files.gguf_file import GgufHeader

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}
_LONGEST_REASON = 200
_GGUF = "model.gguf"
_ANOTHER_FILE = "take the model's safetensors folder, or another GGUF file of it"
# Each digit is a token of its own, and the rest is cut as GPT-2 does; transformers 5.24 reads them all as GPT-2.
_DIGITS_ALONE = frozenset({"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"})
# These need nothing more, or transformers cuts as they do.
_READ_RIGHT = frozenset(
    [
        "gpt-2",
        "gpt2",
        "olmo",
        "mpt",
        "jais",
        "phi-2",
        "dolma",
        "trillion",
        "granite-docling",
        "roberta-bpe",
        "llama3",
        "llama-v3",
        "llama-bpe",
        "falcon3",
        "falcon-h1",
        "pixtral",
        "midm-2.0",
        "lfm2",
        "dbrx",
        "smaug-bpe",
        "tekken",
        "qwen2",
        "deepseek-r1-qwen",
        "kormo",
        "megrez",
        "qwen35",
        "gpt-4o",
        "llama4",
        "kanana2",
        "minimax-m2",
    ]
)
_OF_THE_LIBRARY = ("quantization_config", "transformers_version", "_name_or_path", "_model_name_or_path")


def convert_gguf(
    gguf: Path, target: Path, *, dtype: str = "bfloat16", check: Callable[[Path], Mapping[str, Any]]
) -> dict[str, Any]:
    """Write the model of a GGUF file as the folder `target`, and return what it is, with what `check` found.

    `check` gets the finished folder under a temporary name; if it raises, nothing remains. Raises WrongUseError if the
    file cannot be read, or not exactly, and if `target` is not new or empty.
    """
    require_free(target)
    header = read_header(gguf)
    with making_folder(target) as folder:
        model, tokenizer = _read(header, dtype)
        notes = _mend_pre_tokenizer(tokenizer, header)
        _save(model, tokenizer, folder)
        del model
        (folder / "README.md").write_text(_card(header, dtype), encoding="utf-8")
        try:
            found = check(folder)
        except SealError as error:
            raise WrongUseError(
                f"{gguf} cannot be a base: {error.message.replace(str(folder), str(target))}",
                next_step="Convert another model; docs/models.md lists what is supported.",
            ) from error
    return {
        "folder": str(target),
        "source": str(gguf),
        "licence": header.licence,
        "family": header.architecture,
        "quantisation": header.quantisation,
        "dequantised": header.is_quantised,
        "dtype": dtype,
        **found,
        "name": header.name,
        "notes": notes,
    }


def _read(header: GgufHeader, dtype: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load model and tokenizer from a folder that has nothing but the file, so that nothing next to it has a say."""
    options: dict[str, Any] = {"gguf_file": _GGUF, "local_files_only": True, "trust_remote_code": False}
    with tempfile.TemporaryDirectory() as folder, quiet(), redirect_stderr(io.StringIO()):
        (Path(folder) / _GGUF).symlink_to(header.path.resolve())
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, **options)
            model, loading = AutoModelForCausalLM.from_pretrained(
                folder, dtype=DTYPES[dtype], output_loading_info=True, **options
            )
        except Exception as error:  # the library checks little, so a file may make it raise anything
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST_REASON]
            raise WrongUseError(
                f"transformers {transformers.__version__} cannot read {header.path} "
                f"(architecture {header.architecture!r}; {reason})",
                next_step=_ANOTHER_FILE,
            ) from error
    missing = sorted(map(str, loading.get("missing_keys") or ()))
    if missing:
        _refuse(f"{header.path} lacks {missing[0]} ({counted(len(missing), 'tensor')} in all), which would be random")
    if model.num_parameters() != header.elements:
        _refuse(
            f"transformers {transformers.__version__} does not read all of {header.path}: the file has "
            f"{header.elements:,} values, {type(model).__name__} {model.num_parameters():,}"
        )
    return _plain(model), tokenizer


def _plain(model: PreTrainedModel) -> PreTrainedModel:
    """Return the same model without any sign of its quantisation, which would forbid to save or to train it."""
    config = model.config
    for name in _OF_THE_LIBRARY:
        if hasattr(config, name):
            delattr(config, name)
    with torch.device("meta"):
        fresh = type(model)(config)
    fresh.load_state_dict(model.state_dict(), assign=True)
    fresh.tie_weights()
    fresh.generation_config = model.generation_config
    return fresh


def _mend_pre_tokenizer(tokenizer: PreTrainedTokenizerBase, header: GgufHeader) -> list[str]:
    """Let numbers be cut as the file says; returns a sentence for what could not be."""
    if header.pre_tokenizer in _DIGITS_ALONE:
        cuts = [Digits(individual_digits=True), ByteLevel(add_prefix_space=False, use_regex=True)]
        tokenizer.backend_tokenizer.pre_tokenizer = Sequence(cuts)
        return []
    if header.pre_tokenizer in {"", *_READ_RIGHT}:
        return []
    note = f"The file cuts text by the rule {header.pre_tokenizer!r} before tokenizing, which is not known here: "
    return [f"{note}some numbers and signs may become other tokens than in training."]


def _save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write model and tokenizer so that the same file always gives the same bytes."""
    with quiet(), redirect_stderr(io.StringIO()):
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    for name in ("config.json", "generation_config.json", "tokenizer_config.json"):
        path = folder / name
        if path.is_file():
            kept = json.loads(path.read_text(encoding="utf-8"))
            for key in (*_OF_THE_LIBRARY, "is_local", "local_files_only"):
                kept.pop(key, None)
            path.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _card(header: GgufHeader, dtype: str) -> str:
    weights = f"de-quantised from {header.quantisation}" if header.is_quantised else f"as {header.quantisation} there"
    return (
        f"# {header.name}\n\n"
        f"Made by `seal-console model convert` from `{header.path.name}` ({hash_file(header.path)}).\n"
        f"Weights in {dtype}, {weights}: what rounding took away stays lost.\nLicence of the model: {header.licence}.\n"
    )


def _refuse(what: str) -> NoReturn:
    raise WrongUseError(what, next_step=_ANOTHER_FILE)
