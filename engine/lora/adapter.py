"""One LoRA adapter as a value: which matrices it adapts, at which rank, with which weights.

Hu et al. 2021, "LoRA" (arXiv 2106.09685): the adapted layer computes W x + (alpha / r) · B A x.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from store.errors import WrongUseError
from store.wording import counted


@dataclass(frozen=True, slots=True)
class LoraTarget:
    """One adapted matrix of the base: its module name and its sizes."""

    module: str
    inputs: int
    outputs: int


@dataclass(frozen=True, slots=True)
class LoraSpec:
    """Rank, scale and targets that all adapters of a bank share. `targets` are in the model's own order."""

    rank: int
    alpha: float
    targets: tuple[LoraTarget, ...]
    fan_in_fan_out: bool = False

    @property
    def scaling(self) -> float:
        """The factor on B A x."""
        return self.alpha / self.rank

    @property
    def parameters(self) -> int:
        """Trainable parameters of one adapter."""
        return sum(self.rank * (target.inputs + target.outputs) for target in self.targets)


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter's weights by module name: A is [rank, inputs], B is [outputs, rank], float32 on the CPU."""

    spec: LoraSpec
    weights: dict[str, tuple[torch.Tensor, torch.Tensor]]


def adaptable_modules(model: nn.Module) -> dict[str, nn.Module]:
    """Return every linear layer of a causal language model by name, except the output head."""
    head = getattr(model, "get_output_embeddings", lambda: None)()
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, (nn.Linear, Conv1D)) and module is not head and not name.endswith("lm_head")
    }


def sizes_of(module: nn.Module) -> tuple[int, int]:
    """Return inputs and outputs of a linear layer; GPT-2's Conv1D stores its weight transposed."""
    weight: torch.Tensor = module.get_parameter("weight")
    rows, columns = weight.shape
    return (rows, columns) if isinstance(module, Conv1D) else (columns, rows)


def make_spec(
    model: nn.Module, *, rank: int, alpha: float, target_modules: list[str] | Literal["all-linear"]
) -> LoraSpec:
    """Find the matrices that the settings name, by the last part of the module name as PEFT does.

    Raises WrongUseError if a name matches no layer.
    """
    modules = adaptable_modules(model)
    if target_modules != "all-linear":
        leaves = {name.rsplit(".", 1)[-1] for name in modules}
        unknown = sorted(set(target_modules) - leaves)
        if unknown:
            raise WrongUseError(
                f"inner_update.target_modules: the model has no linear layer named {', '.join(unknown)}",
                next_step=f"choose among {', '.join(sorted(leaves))}, or all-linear",
            )
        modules = {name: module for name, module in modules.items() if name.rsplit(".", 1)[-1] in target_modules}
    targets = tuple(LoraTarget(name, *sizes_of(module)) for name, module in modules.items())
    return LoraSpec(rank, alpha, targets, any(isinstance(module, Conv1D) for module in modules.values()))


def fresh_adapter(spec: LoraSpec, seed: int) -> Adapter:
    """Return a new adapter initialised as PEFT does: A uniform within ±1/√inputs (Kaiming, a = √5), B zero."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for target in spec.targets:
        bound = 1.0 / math.sqrt(target.inputs)
        a = torch.empty(spec.rank, target.inputs).uniform_(-bound, bound, generator=generator)
        weights[target.module] = (a, torch.zeros(target.outputs, spec.rank))
    return Adapter(spec, weights)


def fitted_to(adapter: Adapter, spec: LoraSpec, seed: int) -> tuple[Adapter, float]:
    """Convert an adapter to another rank, scale or set of targets; also returns the largest relative error.

    Growing is exact: new rows of A are fresh, new columns of B are zero. Shrinking keeps the best approximation of B A
    by SVD (Eckart–Young); the error is the Frobenius norm lost, relative to that of B A. If the new spec lacks a
    target, that is an error, because its edits would be lost silently.
    """
    lost = sorted(set(adapter.weights) - {target.module for target in spec.targets})
    if lost:
        raise WrongUseError(
            f"the live adapter changes {counted(len(lost), 'layer')} that inner_update.target_modules lacks, "
            f"such as {lost[0]}",
            next_step="include the live version's target modules in seal.yaml",
        )
    if adapter.spec == spec:
        return adapter, 0.0
    weights, worst = fresh_adapter(spec, seed).weights, 0.0
    for module, (wide_a, wide_b) in adapter.weights.items():
        a, b, error = _at_rank(wide_a, wide_b * (adapter.spec.scaling / spec.scaling), spec.rank)
        fresh_a, fresh_b = weights[module]
        fresh_a[: a.shape[0]], fresh_b[:, : b.shape[1]] = a, b
        worst = max(worst, error)
    return Adapter(spec, weights), worst


def _at_rank(a: torch.Tensor, b: torch.Tensor, rank: int) -> tuple[torch.Tensor, torch.Tensor, float]:
    if a.shape[0] <= rank:
        return a, b, 0.0
    left, values, right = torch.linalg.svd(b @ a, full_matrices=False)
    root = values[:rank].sqrt()
    error = values[rank:].square().sum().sqrt() / values.square().sum().sqrt().clamp(min=1e-30)
    return root[:, None] * right[:rank], left[:, :rank] * root, float(error)


def module_pattern(targets: tuple[LoraTarget, ...]) -> list[str]:
    """Return the leaf names of the targets, sorted, in the form of PEFT's `target_modules`."""
    return sorted({re.split(r"\.", target.module)[-1] for target in targets})
