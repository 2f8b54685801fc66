"""Checks a loaded base: what the engine computes with it must be what transformers and PEFT compute.

The engine packs sequences into one row, pads them in batches of generation, and adds adapters by hooks of its own. Not
every architecture bears that: some carry a state from token to token, some count positions or build masks in their own
way. No list of names would be complete, so a base is measured: three short texts, two of them under an adapter, as
transformers runs them in rows of their own; packed; and padded with a cache, as the engine does. The engine's texts end
earlier, each at another token, which changes nothing before it in a causal model. If there is a difference, rounding is
measured too: how far transformers' own two attentions are apart on the same texts. Lengths beyond these few tokens are
not checked.
"""

from __future__ import annotations

import copy
import tempfile
import warnings
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import safetensors.torch
import torch

from engine.bank.packed import packed_logits
from engine.generation.decoding import GenerationRequest, next_logits
from engine.lora.adapter import Adapter, LoraSpec, fresh_adapter, make_spec
from engine.lora.files import adapter_files
from engine.model.attention import ATTENTION
from store.adapter_files import WEIGHTS_NAME
from store.errors import SealError, WrongUseError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch.utils.hooks import RemovableHandle

    from engine.model.base import BaseModel

_TEXTS = (
    "Water boils at a hundred degrees at sea level, and at less on a mountain, where the air is thinner.",
    "def add(first, second):\n    return first + second\n\nprint(add(1, 2), add(3, 4))",
    "In July 1969 two people walked on the moon for the first time, and half of the world watched them.",
)
_CHANGED = (True, False, True)  # under an adapter that acts
_CUT = (3, 0, 1)  # tokens by which the engine's texts are shorter, so that they are packed and padded unequally
_TOKENS = 20
_LEAST_TOKENS = max(_CUT) + 2  # a prompt and a token that follows it
_RANK, _ALPHA = 2, 4.0
_SIZE = 0.02  # of the entries of B: large enough to move the logits, small enough to keep them finite
# Differences are root mean squares over the vocabulary, for the worst token, relative to the spread of the logits.
# Rounding in float32 is below a thousandth; the smallest of mixed-up sequences, over all architectures tried, was 0.08.
_EXACT = 0.01
_ROUNDINGS = 3.0  # as many times as transformers' attentions differ among themselves; 1.7 was the most in bfloat16
_OTHER_MODEL = "set model.path in seal.yaml to another model; docs/models.md lists what is supported"


def check_base(base: BaseModel) -> None:
    """Raise WrongUseError, with the reason, if the engine cannot use this base exactly."""
    try:
        _check(base)
    except ModuleNotFoundError as error:
        raise SealError(
            f"The package {error.name} is missing, so the model cannot be checked.",
            next_step=f"Install seal-console with its dependencies again: pip install {error.name}",
        ) from error
    except SealError as error:
        if error.next_step:
            raise
        raise WrongUseError(error.message, next_step=_OTHER_MODEL) from error
    except Exception as error:  # an architecture that does not fit may fail anywhere in its own code
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise WrongUseError(
            f"model.path: {_kind(base)} cannot be run packed and with a cache as the engine needs it ({reason})",
            next_step=_OTHER_MODEL,
        ) from error


def _check(base: BaseModel) -> None:
    if getattr(base.model, "_is_stateful", False):
        raise WrongUseError(
            f"model.path: {_kind(base)} keeps a state from token to token, which sequences in one row would mix up"
        )
    spec = make_spec(base.model, rank=_RANK, alpha=_ALPHA, target_modules="all-linear")
    if not spec.targets:
        raise WrongUseError(f"model.path: {_kind(base)} has no linear layer that an adapter could change")
    _check_export(base, fresh_adapter(spec, 0))
    started = [base.encoder.start(text) for text in _TEXTS]
    length = max(_LEAST_TOKENS, min(base.window_tokens, _TOKENS, *map(len, started)))
    unchanged, changed = fresh_adapter(spec, 0), _acting(spec)  # the matrix B of a fresh adapter is zero
    adapters = [changed if acting else unchanged for acting in _CHANGED]
    reference = _Reference(base, adapters, [text[:length] for text in started])
    reference.compare_packed()
    reference.compare_continued()


def _acting(spec: LoraSpec) -> Adapter:
    generator = torch.Generator().manual_seed(1)
    weights = {
        name: (a, _SIZE * torch.randn(b.shape, generator=generator))
        for name, (a, b) in fresh_adapter(spec, 1).weights.items()
    }
    return Adapter(spec, weights)


class _Reference:
    """What transformers says to each text in a row of its own, under its adapter; the texts are equally long."""

    def __init__(self, base: BaseModel, adapters: Sequence[Adapter], texts: Sequence[Sequence[int]]) -> None:
        """Raises WrongUseError if the logits are not finite."""
        self._base, self._adapters, self._texts = base, adapters, texts
        self._shorter = [text[: len(text) - cut] for text, cut in zip(texts, _CUT, strict=True)]
        self._logits = _rows_alone(base, adapters, texts, "eager")
        if not bool(torch.isfinite(self._logits).all()):
            raise WrongUseError(
                f"model.path: the logits of {base.name} are not finite",
                next_step="download the model again, or set model.precision: float32 in seal.yaml",
            )
        self._spread = float(self._logits.std(dim=(1, 2)).mean())

    def compare_packed(self) -> None:
        """Raise WrongUseError if texts packed into one row get logits that are further away than rounding goes."""
        found = packed_logits(self._base, self._adapters, self._shorter)
        expected = [row[: len(text)] for row, text in zip(self._logits, self._shorter, strict=True)]
        self._require_close(_difference(expected, found), "texts packed into one row")

    def compare_continued(self) -> None:
        """Raise WrongUseError if logits differ after padded prompts, or after one more token that uses their cache."""
        requests = [GenerationRequest(tuple(text[:-1]), place) for place, text in enumerate(self._shorter)]
        found = next_logits(self._base, self._adapters, requests, [text[-1] for text in self._shorter])
        expected = [row[len(text) - 2 : len(text)] for row, text in zip(self._logits, self._shorter, strict=True)]
        self._require_close(_difference(expected, found), "prompts in one batch")

    @cached_property
    def _rounding(self) -> float:
        """How far transformers' own two attentions are apart; 0 if the model has only one."""
        try:
            other = _rows_alone(self._base, self._adapters, self._texts, "sdpa")
        except (ValueError, ImportError):
            return 0.0
        return _difference(list(self._logits), list(other))

    def _require_close(self, gap: float, what: str) -> None:
        if gap <= _EXACT * self._spread or gap <= _ROUNDINGS * self._rounding:  # neither if it is not a number
            return
        raise WrongUseError(
            f"model.path: {_kind(self._base)} answers {what} in another way than each alone: logits differ by "
            f"{gap:.3g}, at a spread of {self._spread:.3g}"
        )


def _difference(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> float:
    """Return the root mean square difference over the vocabulary, for the token at which it is largest."""
    return max(float((a - b).square().mean(dim=1).sqrt().max()) for a, b in zip(one, other, strict=True))


@torch.inference_mode()
def _rows_alone(
    base: BaseModel, adapters: Sequence[Adapter], texts: Sequence[Sequence[int]], attention: str
) -> torch.Tensor:
    """Return the logits [texts, tokens, vocabulary] of equally long texts, with one of transformers' own attentions."""
    with _attending(base, attention), _hooked(base, adapters):
        rows = torch.tensor([list(text) for text in texts], device=base.device)
        logits: torch.Tensor = base.model(input_ids=rows, use_cache=False).logits
    return logits.float()


@contextmanager
def _attending(base: BaseModel, attention: str) -> Iterator[None]:
    base.model.set_attn_implementation(attention)
    try:
        yield
    finally:
        base.model.set_attn_implementation(ATTENTION)


@contextmanager
def _hooked(base: BaseModel, adapters: Sequence[Adapter]) -> Iterator[None]:
    """Add (alpha / r) · B A x to each adapted layer, as PEFT does, with the adapter of each row."""
    spec = adapters[0].spec

    def add(name: str) -> RemovableHandle:
        a = torch.stack([adapter.weights[name][0] for adapter in adapters]).to(base.device)
        b = torch.stack([adapter.weights[name][1] for adapter in adapters]).to(base.device)

        def hook(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
            rows = inputs[0].reshape(len(adapters), -1, inputs[0].shape[-1]).float()
            update = torch.bmm(torch.bmm(rows, a.transpose(1, 2)), b.transpose(1, 2))
            return output + (spec.scaling * update).view(output.shape).to(output.dtype)

        handle: RemovableHandle = base.model.get_submodule(name).register_forward_hook(hook)
        return handle

    handles = [add(target.module) for target in spec.targets]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _check_export(base: BaseModel, adapter: Adapter) -> None:
    """Load the files of an adapter with PEFT into a model without weights: every tensor must find its place."""
    from peft import PeftModel  # noqa: PLC0415 - only needed here

    files = adapter_files(adapter, base.name)
    exported = {name: tuple(one.shape) for name, one in safetensors.torch.load(files[WEIGHTS_NAME]).items()}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), torch.device("meta"):
        warnings.simplefilter("ignore")
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        model = type(base.model)(copy.deepcopy(base.model.config))
        loaded = PeftModel.from_pretrained(model, folder, low_cpu_mem_usage=True)
    adapted = ((name, one.shape) for name, one in loaded.named_parameters() if "lora_" in name)
    there = {name.replace(".default", ""): tuple(shape) for name, shape in adapted}
    lost = sorted(set(exported.items()) ^ set(there.items()))
    if lost:
        raise WrongUseError(
            f"model.path: PEFT would load an adapter of {_kind(base)} differently: {len(lost)} tensors differ, "
            f"such as {lost[0][0]}"
        )


def _kind(base: BaseModel) -> str:
    return f"{base.name} ({type(base.model).__name__})"
