"""One LoRA adapter as a value: which matrices it adapts, at which rank, with which weights.

Hu et al. 2021, "LoRA" (arXiv 2106.09685): the adapted layer computes W x + (alpha / r) · B A x.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from store.errors import WrongUseError
from store.wording import counted

if TYPE_CHECKING:
    from collections.abc import Mapping


_MATRIX = 2  # dimensions
_EXPERT_LEAVES = frozenset({"gate_proj", "up_proj", "down_proj", "w1", "w2", "w3"})


@dataclass(frozen=True, slots=True)
class LoraTarget:
    """One adapted matrix of the base: its module name and its sizes.

    `peft_name` names it in PEFT's `target_modules`: the last part of the module name, or all of it if another module of
    the model, which is not adapted, ends in the same.
    """

    module: str
    inputs: int
    outputs: int
    peft_name: str


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
    """Return every linear layer that text goes through, by name, except the output head.

    A multimodal model's vision tower is left out, since text never reaches it. So are the layers of an MLP where a
    model fuses its experts into one tensor: PEFT reads their names as those of experts, and would not load them.
    """
    head = getattr(model, "get_output_embeddings", lambda: None)()
    text = set(getattr(model, "get_decoder", lambda: model)().modules())
    left_out = _EXPERT_LEAVES if _has_fused_experts(model) else frozenset()
    return {
        name: module
        for name, module in model.named_modules()
        if getattr(type(module), "forward", None) in (nn.Linear.forward, Conv1D.forward)  # a router may return more
        and module in text
        and module is not head
        and not name.endswith("lm_head")
        and name.rsplit(".", 1)[-1] not in left_out
    }


def _has_fused_experts(model: nn.Module) -> bool:
    return any(weight.dim() > _MATRIX and ".experts." in name for name, weight in model.named_parameters())


def sizes_of(module: nn.Module) -> tuple[int, int]:
    """Return inputs and outputs of a linear layer; GPT-2's Conv1D stores its weight transposed."""
    weight: torch.Tensor = module.get_parameter("weight")
    rows, columns = weight.shape
    return (rows, columns) if isinstance(module, Conv1D) else (columns, rows)


def make_spec(
    model: nn.Module,
    *,
    rank: int,
    alpha: float,
    target_modules: list[str] | Literal["all-linear"],
    section: str = "inner_update",
) -> LoraSpec:
    """Find the matrices that the settings name, by the last part of the module name as PEFT does.

    Raises WrongUseError, for this section of the settings, if a name matches no layer.
    """
    modules = adaptable_modules(model)
    if target_modules != "all-linear":
        leaves = {name.rsplit(".", 1)[-1] for name in modules}
        unknown = sorted(set(target_modules) - leaves)
        if unknown:
            raise WrongUseError(
                f"{section}.target_modules: the model has no linear layer named {', '.join(unknown)}",
                next_step=f"choose among {', '.join(sorted(leaves))}, or all-linear",
            )
        modules = {name: module for name, module in modules.items() if name.rsplit(".", 1)[-1] in target_modules}
    names = _peft_names(model, modules)
    targets = tuple(LoraTarget(name, *sizes_of(module), names[name]) for name, module in modules.items())
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


def _peft_names(model: nn.Module, adapted: Mapping[str, nn.Module]) -> dict[str, str]:
    others = {name.rsplit(".", 1)[-1] for name, _ in model.named_modules() if name not in adapted}
    leaves = {name: name.rsplit(".", 1)[-1] for name in adapted}
    return {name: name if leaf in others else leaf for name, leaf in leaves.items()}


def module_pattern(targets: tuple[LoraTarget, ...]) -> list[str]:
    """Return the names of the targets, sorted, in the form of PEFT's `target_modules`."""
    return sorted({target.peft_name for target in targets})
