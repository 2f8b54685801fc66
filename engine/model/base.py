"""Loads a local Hugging Face causal language model as the frozen base.

Nothing is fetched from a hub, weights are read from safetensors only, and code that comes with a model is not run
unless the settings allow it.
"""

from __future__ import annotations

import inspect
import re
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
from transformers.utils import logging as transformers_logging

from engine.domains.prompt_form import PromptStyle, prompt_form
from engine.model.adapted_linear import Switch, install_switch
from engine.model.attention import ATTENTION
from engine.model.context_window import window_in
from engine.model.encoding import TextEncoder
from engine.model.frozen_norm import install_norms
from engine.model.model_folder import (
    CONFIG,
    check_model_folder,
    count_parameters,
    folder_fingerprint,
    model_folder,
    read_object,
)
from engine.model.precision import choose_device, choose_precision
from store.errors import SealError, WrongUseError
from store.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_UNKNOWN_WINDOW = 2048
# Older versions of transformers wrote these next to the weights; a model makes them itself.
_BUFFER = re.compile(r"(?:\.masked_bias|attn\.bias|attention\.bias|rotary_emb\.inv_freq|\.position_ids)$")
_LONGEST_REASON = 300
_OTHER_MODEL = "set model.path in seal.yaml to another model; docs/models.md lists what is supported"


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
    prompt_style: PromptStyle = "auto"
    max_length: int | None = None

    @property
    def folder(self) -> str:
        """The base's folder, by which PEFT finds it from an adapter."""
        return str(model_folder(self.name))

    @cached_property
    def window_tokens(self) -> int:
        """The longest sequence, in tokens: what the model was made for, or less if the settings say so."""
        made_for = window_in(self.model.config.to_dict()) or _UNKNOWN_WINDOW
        return made_for if self.max_length is None else min(made_for, self.max_length)

    @cached_property
    def stop_tokens(self) -> frozenset[int]:
        """Tokens that end a text: end-of-sequence padding, as tokenizer and configurations say, and a turn's end."""
        found: set[int] = set()
        for owner in (self.tokenizer, self.model.generation_config, self.model.config):
            for name in ("eos_token_id", "pad_token_id"):
                value = getattr(owner, name, None)
                found.update(value if isinstance(value, list) else [value] if value is not None else [])
        return frozenset(found | set(self.encoder.turn_end[-1:]))

    @cached_property
    def line_end_tokens(self) -> frozenset[int]:
        """Tokens whose text contains a line break, at which a one-line answer ends."""
        texts = self.tokenizer.batch_decode([[index] for index in range(len(self.tokenizer))])
        return frozenset(index for index, text in enumerate(texts) if "\n" in text)

    @cached_property
    def cache_argument(self) -> str:
        """The name of the forward pass's argument for the key-value cache: transformers 5.24 renamed it."""
        return "cache" if "cache" in inspect.signature(self.model.forward).parameters else "past_key_values"

    @cached_property
    def encoder(self) -> TextEncoder:
        """How text becomes tokens."""
        return TextEncoder(self.tokenizer, self.prompt_style)

    def described(self) -> dict[str, Any]:
        """Return what a version's manifest says about its base."""
        about = {"name": self.name, "fingerprint": self.fingerprint, "precision": str(self.precision).split(".")[-1]}
        form = prompt_form(self.name, self.prompt_style)
        return about if form == "plain" else {**about, "form": form}


def load_base(
    path: str,
    *,
    device: str = "auto",
    precision: str = "auto",
    trust_remote_code: bool = False,
    prompt_style: PromptStyle = "auto",
    max_length: int | None = None,
) -> BaseModel:
    """Load the model that the settings name: "bundled", or a local folder.

    Raises WrongUseError if the folder is not a causal language model that can be read safely and whole.
    """
    folder = check_model_folder(path)
    _check_architecture(folder, trust_remote_code=trust_remote_code)
    chosen_device = choose_device(device)
    dtype = choose_precision(precision, chosen_device, count_parameters(folder))
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": trust_remote_code}
    with quiet(), _named(folder):
        config = AutoConfig.from_pretrained(folder, **options)
        if config.is_encoder_decoder:
            raise WrongUseError(f"{config.model_type} is an encoder–decoder, not a causal language model")
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
        model, loading = AutoModelForCausalLM.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            attn_implementation=ATTENTION,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # reported by `_check_loaded`, with the tensor's name
            **options,
        )
    _check_loaded(model, tokenizer, loading, folder)
    base = wrap_model(model.to(chosen_device), tokenizer, name=path, fingerprint=folder_fingerprint(folder))
    base = replace(base, prompt_style=prompt_style, max_length=max_length)
    base.encoder.check()
    return base


def load_encoder(path: str, *, prompt_style: PromptStyle = "auto", trust_remote_code: bool = False) -> TextEncoder:
    """Load only the tokenizer of the model that the settings name. Raises WrongUseError as `load_base` does."""
    folder = check_model_folder(path)
    with quiet(), _named(folder):
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=trust_remote_code)
    encoder = TextEncoder(tokenizer, prompt_style)
    encoder.check()
    return encoder


def wrap_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, name: str, fingerprint: str) -> BaseModel:
    """Freeze a model in memory and prepare it for banks; its attention becomes the engine's own."""
    model.requires_grad_(requires_grad=False)
    model.eval()
    model.set_attn_implementation(ATTENTION)
    switch = install_switch(model)
    install_norms(model)
    weights = next(model.parameters())
    return BaseModel(name, model, tokenizer, weights.device, weights.dtype, switch, fingerprint)


def _check_architecture(folder: Path, *, trust_remote_code: bool) -> None:
    """Raise WrongUseError if transformers does not know the architecture and no code of the model may be run."""
    config = read_object(folder / CONFIG)
    kind = config.get("model_type")
    if kind in CONFIG_MAPPING_NAMES or (config.get("auto_map") and trust_remote_code):
        return
    if config.get("auto_map"):
        raise WrongUseError(
            f"model.path: {folder} needs Python code of its own ({kind})",
            next_step="read that code; if you trust it, set model.trust_remote_code: true in seal.yaml",
        )
    raise WrongUseError(
        f"model.path: transformers {transformers.__version__} does not know the architecture {kind!r} of {folder}",
        next_step=f"install a newer transformers if there is one, or {_OTHER_MODEL}",
    )


def _check_loaded(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, loading: Mapping[str, Any], folder: Path
) -> None:
    """Raise WrongUseError if weights are missing, unused or not finite, or if tokens have no embedding."""
    missing, unused = (sorted(map(str, loading.get(name) or ())) for name in ("missing_keys", "unexpected_keys"))
    unused = [name for name in unused if not _BUFFER.search(name)]
    for name, found, expected in sorted(loading.get("mismatched_keys") or ()):
        raise WrongUseError(
            f"model.path: {name} in {folder} has the shape {tuple(found)}, but config.json asks for {tuple(expected)}",
            next_step="take weights and config.json from the same model",
        )
    if missing or unused:
        parts = [f"lacks {_some(missing)}, which would be random"] if missing else []
        parts += [f"has {_some(unused)}, which the model does not use"] if unused else []
        compiled = any(name.startswith("_orig_mod.") for name in unused)
        raise WrongUseError(
            f"model.path: the weights in {folder} do not fit {type(model).__name__}: the file {' and '.join(parts)}",
            next_step="remove the prefix _orig_mod. that torch.compile added to the names"
            if compiled
            else "download the model again, or save it whole with transformers' save_pretrained",
        )
    broken = next((name for name, weight in model.named_parameters() if not bool(torch.isfinite(weight).all())), None)
    if broken is not None:
        raise WrongUseError(
            f"model.path: {broken} in {folder} has values that are NaN or infinite",
            next_step="download the model again; if it was merged or converted, do that again in float32",
        )
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        raise WrongUseError(
            f"model.path: the tokenizer in {folder} has {len(tokenizer):,} tokens, the model embeds {rows:,}",
            next_step="take the tokenizer that belongs to the model, or call resize_token_embeddings and save it",
        )


def _some(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {counted(len(names) - 1, 'other tensor')}"


@contextmanager
def _named(folder: Path) -> Iterator[None]:
    """Turn whatever the library raises for a folder's content into a WrongUseError with the folder's name."""
    try:
        yield
    except SealError as error:
        raise WrongUseError(
            f"model.path: {folder}: {error.message}", next_step=error.next_step or _OTHER_MODEL
        ) from error
    except KeyError as error:
        if ATTENTION not in str(error):
            raise _unloadable(folder, error) from error
        raise WrongUseError(
            f"model.path: {folder} has attention of its own kind, which the engine cannot replace with its packed one",
            next_step=_OTHER_MODEL,
        ) from error
    except Exception as error:  # files of a model may make it raise anything: KeyError, ValueError, ImportError …
        raise _unloadable(folder, error) from error


def _unloadable(folder: Path, error: Exception) -> WrongUseError:
    reason = " ".join(str(error).split("\n")[0].split())[:_LONGEST_REASON]
    what = f"unknown name {reason}" if isinstance(error, KeyError) else f"{type(error).__name__}: {reason}"
    return WrongUseError(
        f"model.path: transformers {transformers.__version__} cannot load {folder} ({what})",
        next_step=_OTHER_MODEL,
    )


class quiet:  # noqa: N801 - reads as a context
    """Keep the library's progress bars and notices off the terminal while a model loads."""

    def __enter__(self) -> None:
        self._verbosity = transformers_logging.get_verbosity()
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()

    def __exit__(self, *_: object) -> None:
        transformers_logging.set_verbosity(self._verbosity)
