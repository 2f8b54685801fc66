"""Loads a local Hugging Face causal language model as the frozen base.

Nothing is ever fetched from a hub, weights are read from safetensors only, and code that comes with a model is not run
unless the settings allow it.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from engine.model.adapted_linear import Switch, install_switch
from engine.model.attention import ATTENTION
from engine.model.precision import choose_device, choose_precision
from store.errors import WrongUseError
from store.hashing import hash_file, hash_json

if TYPE_CHECKING:
    import torch

BUNDLED = "bundled"


@dataclass(frozen=True)
class BaseModel:
    """The frozen base, ready for banks: `switch` says which adapters act on which tokens of the next forward pass."""

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    device: torch.device
    precision: torch.dtype
    switch: Switch
    fingerprint: str
    prompt_style: str = "auto"
    max_length: int | None = None

    @cached_property
    def window_tokens(self) -> int:
        """The longest sequence, in tokens: what the model was made for, or less where the settings say so."""
        config = self.model.config
        made_for = int(getattr(config, "max_position_embeddings", 0) or getattr(config, "n_positions", 0) or 2048)
        return made_for if self.max_length is None else min(made_for, self.max_length)

    @cached_property
    def stop_tokens(self) -> frozenset[int]:
        """Tokens that end a text: end-of-sequence and padding, from tokenizer and generation configuration."""
        found: set[int] = set()
        for owner in (self.tokenizer, self.model.generation_config, self.model.config):
            for name in ("eos_token_id", "pad_token_id"):
                value = getattr(owner, name, None)
                found.update(value if isinstance(value, list) else [value] if value is not None else [])
        return frozenset(found)

    @cached_property
    def line_end_tokens(self) -> frozenset[int]:
        """Tokens whose text holds a line break; an exam's answer ends there."""
        texts = self.tokenizer.batch_decode([[index] for index in range(len(self.tokenizer))])
        return frozenset(index for index, text in enumerate(texts) if "\n" in text)

    @cached_property
    def cache_argument(self) -> str:
        """The name of the forward pass's argument for the key-value cache: transformers 5.24 renamed it."""
        return "cache" if "cache" in inspect.signature(self.model.forward).parameters else "past_key_values"

    def encode(self, text: str) -> list[int]:
        """Tokens of a text as it stands, without special tokens."""
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def encode_prompt(self, text: str) -> list[int]:
        """Tokens of a prompt: through the chat template where there is one, else with the tokenizer's own prefix."""
        if self.uses_chat_template:
            messages = [{"role": "user", "content": text}]
            tokens = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
            return [int(token) for token in tokens]
        return self.encode_start(text)

    def encode_start(self, text: str) -> list[int]:
        """Tokens of a text that is to be continued as it stands: with the tokenizer's own prefix, in no template."""
        return self._prefix() + self.encode(text)

    def encode_training(self, text: str) -> list[int]:
        """Tokens of a training sequence: prefix, text, end of sequence."""
        end = self.tokenizer.eos_token_id
        return self.encode_start(text) + ([] if end is None else [int(end)])

    @property
    def uses_chat_template(self) -> bool:
        """Whether prompts go through the tokenizer's chat template."""
        if self.prompt_style == "auto":
            return bool(getattr(self.tokenizer, "chat_template", None))
        return self.prompt_style == "chat"

    def _prefix(self) -> list[int]:
        start = self.tokenizer.bos_token_id
        adds = bool(getattr(self.tokenizer, "add_bos_token", False))
        return [int(start)] if adds and start is not None else []

    def described(self) -> dict[str, Any]:
        """What a version's manifest says of its base."""
        return {"name": self.name, "fingerprint": self.fingerprint, "precision": str(self.precision).split(".")[-1]}


def bundled_model_folder() -> Path:
    """The folder of the model that ships with the engine."""
    return Path(str(resources.files("engine") / "bundled" / "model"))


def load_base(
    path: str,
    *,
    device: str = "auto",
    precision: str = "auto",
    trust_remote_code: bool = False,
    prompt_style: str = "auto",
    max_length: int | None = None,
) -> BaseModel:
    """Load the model that the settings name: "bundled", or a local folder.

    Raises WrongUseError where the folder is no causal language model that can be read safely.
    """
    folder = bundled_model_folder() if path == BUNDLED else Path(path).expanduser()
    _check_folder(folder, path)
    chosen_device = choose_device(device)
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=trust_remote_code)
    dtype = choose_precision(precision, chosen_device, _count_parameters(folder))
    with _quiet():
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            attn_implementation=ATTENTION,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=trust_remote_code,
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=trust_remote_code)
    base = wrap_model(model.to(chosen_device), tokenizer, name=path, fingerprint=folder_fingerprint(folder))
    return replace(base, prompt_style=prompt_style, max_length=max_length)


def wrap_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, name: str, fingerprint: str) -> BaseModel:
    """Freeze a model in memory and prepare it for banks; its attention becomes the engine's own."""
    model.requires_grad_(requires_grad=False)
    model.eval()
    model.set_attn_implementation(ATTENTION)
    switch = install_switch(model)
    weights = next(model.parameters())
    return BaseModel(name, model, tokenizer, weights.device, weights.dtype, switch, fingerprint)


@cache
def folder_fingerprint(folder: Path) -> str:
    """Hash of the configuration, tokenizer and weights of a model folder."""
    files = [*folder.glob("*.json"), *folder.glob("*.safetensors")]
    return hash_json({file.name: hash_file(file) for file in sorted(files)})


def _check_folder(folder: Path, path: str) -> None:
    if not (folder / "config.json").is_file():
        raise WrongUseError(
            f"model.path: {path!r} is no model folder: {folder / 'config.json'} is missing",
            next_step="set model.path in seal.yaml to 'bundled' or to a local Hugging Face model folder",
        )
    if not any(folder.glob("*.safetensors")):
        raise WrongUseError(
            f"model.path: {folder} holds no *.safetensors file; weights in pickle formats are never read",
            next_step="convert the model to safetensors with transformers' save_pretrained",
        )


def _count_parameters(folder: Path) -> int:
    """Estimate the number of parameters from the size of the weight files, at two bytes each."""
    return sum(file.stat().st_size for file in folder.glob("*.safetensors")) // 2


class _quiet:  # noqa: N801 - reads as a context
    """Keep the library's progress bars and notices off the terminal while a model loads."""

    def __enter__(self) -> None:
        self._verbosity = transformers_logging.get_verbosity()
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()

    def __exit__(self, *_: object) -> None:
        transformers_logging.set_verbosity(self._verbosity)
