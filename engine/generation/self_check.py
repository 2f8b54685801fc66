"""Checks a loaded base: what the engine computes with it must be what transformers and PEFT compute.

The engine packs sequences into one row, pads them in batches of generation, and adds adapters by hooks of its own. Not
every architecture bears that: some carry a state from token to token, some count positions or build masks in their own
way. No list of names would be complete, so a base is measured: a few short texts, alone as transformers runs them,
packed and padded as the engine does, with and without an adapter. Rounding is measured as well: how far transformers'
own two attentions are apart on the same texts. Lengths beyond these few tokens are not checked.
"""

from __future__ import annotations

import copy
import tempfile
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import safetensors.torch
import torch

from engine.bank.packed import packed_logits
from engine.generation.decoding import GenerationRequest, Limits, generate
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
    "The shop opens at nine o'clock.",
    "Water boils at a hundred degrees at sea level, and at less on a mountain.",
    "def add(a, b):\n    return a + b",
    "In July 1969 two people walked on the moon for the first time, and half of the world watched them on television.",
)
_NEW_TOKENS = 4
_RANK, _ALPHA = 2, 4.0
_SIZE = 0.02  # of the entries of B: large enough to move the logits, small enough to keep them finite
# Differences are root mean squares over the vocabulary, for the worst token, relative to the spread of the logits.
# Rounding in float32 is below a thousandth; the smallest of mixed-up sequences, over all architectures tried, was 0.18.
_EXACT = 0.01
_ROUNDINGS = 3.0  # as many times as transformers' attentions differ among themselves; 1.3 was the most in bfloat16
_PEAK = 4.0  # a difference of a single logit, in root mean squares
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
    room = max(1, base.window_tokens - _NEW_TOKENS)
    texts = [base.encoder.start(text)[:room] for text in _TEXTS]
    unchanged, changed = fresh_adapter(spec, 0), _acting(spec)  # the matrix B of a fresh adapter is zero
    alone = _Alone(base, [unchanged, changed, unchanged, changed], texts)
    alone.compare_packed()
    alone.compare_generated()


def _acting(spec: LoraSpec) -> Adapter:
    generator = torch.Generator().manual_seed(1)
    weights = {
        name: (a, _SIZE * torch.randn(b.shape, generator=generator))
        for name, (a, b) in fresh_adapter(spec, 1).weights.items()
    }
    return Adapter(spec, weights)


class _Alone:
    """What transformers says to each text by itself under its adapter, and how much of that is rounding."""

    def __init__(self, base: BaseModel, adapters: Sequence[Adapter], texts: Sequence[Sequence[int]]) -> None:
        """Raises WrongUseError if the logits are not finite."""
        self._base, self._adapters, self._texts = base, adapters, texts
        self._logits = [_alone(base, adapter, text) for adapter, text in zip(adapters, texts, strict=True)]
        if not all(bool(torch.isfinite(one).all()) for one in self._logits):
            raise WrongUseError(
                f"model.path: the logits of {base.name} are not finite",
                next_step="download the model again, or set model.precision: float32 in seal.yaml",
            )
        self._spread = float(torch.stack([one.std() for one in self._logits]).mean())
        self._tolerance = max(_EXACT, _ROUNDINGS * self._rounding() / self._spread)

    def compare_packed(self) -> None:
        """Raise WrongUseError if texts packed into one row get logits that are further away than rounding goes."""
        found = packed_logits(self._base, self._adapters, self._texts)
        self._require_close(_difference(self._logits, found), self._tolerance, "texts packed into one row")

    def compare_generated(self) -> None:
        """Raise WrongUseError if a token that the engine chooses is not the likeliest, to rounding, for its text."""
        requests = [GenerationRequest(tuple(text), place) for place, text in enumerate(self._texts)]
        answers = generate(self._base, self._adapters, requests, Limits(_NEW_TOKENS, frozenset()))
        for adapter, text, answer in zip(self._adapters, self._texts, answers, strict=True):
            logits = _alone(self._base, adapter, [*text, *answer])[len(text) - 1 : -1]
            chosen = logits.gather(1, torch.tensor(answer, device=logits.device)[:, None])[:, 0]
            gap = float((logits.max(dim=1).values - chosen).max())
            self._require_close(gap, _PEAK * self._tolerance, "prompts in one batch")

    def _rounding(self) -> float:
        """Return how far transformers' own two attentions are apart; 0 if the model has only one."""
        last = len(self._texts) - 1
        try:
            other = _alone(self._base, self._adapters[last], self._texts[last], "sdpa")
        except (ValueError, ImportError):
            return 0.0
        return _difference([self._logits[last]], [other])

    def _require_close(self, gap: float, tolerance: float, what: str) -> None:
        if not gap <= tolerance * self._spread:  # also if it is not a number
            raise WrongUseError(
                f"model.path: {_kind(self._base)} answers {what} in another way than each alone: logits differ by "
                f"{gap:.3g}, at a spread of {self._spread:.3g}"
            )


def _difference(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> float:
    """Return the root mean square difference over the vocabulary, for the token at which it is largest."""
    return max(float((a - b).square().mean(dim=1).sqrt().max()) for a, b in zip(one, other, strict=True))


@torch.inference_mode()
def _alone(base: BaseModel, adapter: Adapter, tokens: Sequence[int], attention: str = "eager") -> torch.Tensor:
    """Return the logits [tokens, vocabulary] of one text by itself, with one of transformers' own attentions."""
    with _attending(base, attention), _hooked(base, adapter):
        row = torch.tensor([list(tokens)], device=base.device)
        logits: torch.Tensor = base.model(input_ids=row, use_cache=False).logits
    return logits[0].float()


@contextmanager
def _attending(base: BaseModel, attention: str) -> Iterator[None]:
    base.model.set_attn_implementation(attention)
    try:
        yield
    finally:
        base.model.set_attn_implementation(ATTENTION)


@contextmanager
def _hooked(base: BaseModel, adapter: Adapter) -> Iterator[None]:
    """Add (alpha / r) · B A x to each adapted layer, as PEFT does."""

    def add(name: str) -> RemovableHandle:
        a, b = (matrix.to(base.device) for matrix in adapter.weights[name])

        def hook(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
            update = (inputs[0].float() @ a.T) @ b.T
            return output + (adapter.spec.scaling * update).to(output.dtype)

        handle: RemovableHandle = base.model.get_submodule(name).register_forward_hook(hook)
        return handle

    handles = [add(target.module) for target in adapter.spec.targets]
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
