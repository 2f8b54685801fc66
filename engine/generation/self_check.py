"""Checks a loaded base: what the engine computes with it must be what transformers and PEFT compute.

The engine packs sequences into one row, pads them in batches of generation, and adds adapters by hooks of its own. Not
every architecture bears that: some carry a state from token to token, some count positions or build masks in their own
way. No list of names would be complete, so a base is measured: a few short sequences, alone as transformers runs them,
packed and padded as the engine does, with and without an adapter. Lengths beyond these few tokens are not checked.
"""

from __future__ import annotations

import copy
import random
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

_LENGTHS = (5, 21, 11, 34)
_NEW_TOKENS = 4
_RANK, _ALPHA = 2, 4.0
_SIZE = 0.02  # of the entries of B: large enough to move the logits, small enough to keep them finite
# The largest difference of a logit, relative to the spread of the logits. Rounding is far below, mixed-up sequences far
# above: the smallest seen of those was 0.3.
_TOLERANCE = {torch.float32: 0.01, torch.bfloat16: 0.15, torch.float16: 0.05}
_OTHER_MODEL = "set model.path in seal.yaml to another model; docs/models.md lists what is supported"


def check_base(base: BaseModel) -> None:
    """Raise WrongUseError, with the reason, if the engine cannot use this base exactly."""
    try:
        _check(base)
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
    sequences = _sequences(base)
    untouched, changed = fresh_adapter(spec, 0), _acting(spec)
    for adapter, with_what in ((untouched, ""), (changed, " under an adapter")):
        expected = [_alone(base, adapter, sequence) for sequence in sequences]
        if not all(bool(torch.isfinite(one).all()) for one in expected):
            raise WrongUseError(
                f"model.path: the logits of {base.name} are not finite",
                next_step="download the model again, or set model.precision: float32 in seal.yaml",
            )
        packed = packed_logits(base, [adapter] * len(sequences), sequences)
        _compare(base, expected, packed, f"sequences packed into one row{with_what}")
        _compare_generation(base, adapter, sequences, f"prompts answered in one batch{with_what}")


def _sequences(base: BaseModel) -> list[list[int]]:
    rng = random.Random("self-check")
    known = min(len(base.tokenizer), base.model.get_input_embeddings().weight.shape[0])
    special = set(base.tokenizer.all_special_ids)
    tokens = [token for token in rng.sample(range(known), min(known, 400)) if token not in special]
    room = max(1, base.window_tokens - _NEW_TOKENS)
    return [rng.choices(tokens, k=min(length, room)) for length in _LENGTHS]


def _acting(spec: LoraSpec) -> Adapter:
    generator = torch.Generator().manual_seed(1)
    weights = {
        name: (a, _SIZE * torch.randn(b.shape, generator=generator))
        for name, (a, b) in fresh_adapter(spec, 1).weights.items()
    }
    return Adapter(spec, weights)


@torch.inference_mode()
def _alone(base: BaseModel, adapter: Adapter, tokens: Sequence[int]) -> torch.Tensor:
    """Return the logits [tokens, vocabulary] of one sequence by itself, with transformers' own attention."""
    with _as_transformers_runs_it(base), _hooked(base, adapter):
        row = torch.tensor([list(tokens)], device=base.device)
        logits: torch.Tensor = base.model(input_ids=row, use_cache=False).logits
    return logits[0].float()


@contextmanager
def _as_transformers_runs_it(base: BaseModel) -> Iterator[None]:
    base.model.set_attn_implementation("eager")
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


def _compare(base: BaseModel, expected: Sequence[torch.Tensor], found: Sequence[torch.Tensor], what: str) -> None:
    gap = max(float((one - other).abs().max()) for one, other in zip(expected, found, strict=True))
    _require_close(base, gap, float(torch.stack([one.std() for one in expected]).mean()), what)


def _require_close(base: BaseModel, gap: float, spread: float, what: str) -> None:
    if not gap <= _TOLERANCE.get(base.precision, _TOLERANCE[torch.bfloat16]) * spread:  # also if it is not a number
        raise WrongUseError(
            f"model.path: {_kind(base)} answers {what} in another way than each alone: logits differ by up to "
            f"{gap:.3g}, at a spread of {spread:.3g}"
        )


def _compare_generation(base: BaseModel, adapter: Adapter, sequences: Sequence[Sequence[int]], what: str) -> None:
    """Each token that the engine chooses must be the likeliest, to rounding, for the sequence alone."""
    requests = [GenerationRequest(tuple(one), 0) for one in sequences]
    answers = generate(base, [adapter], requests, Limits(_NEW_TOKENS, frozenset()))
    for prompt, answer in zip(sequences, answers, strict=True):
        logits = _alone(base, adapter, [*prompt, *answer])[len(prompt) - 1 : -1]
        chosen = logits.gather(1, torch.tensor(answer, device=logits.device)[:, None])[:, 0]
        _require_close(base, float((logits.max(dim=1).values - chosen).max()), float(logits.std()), what)


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
