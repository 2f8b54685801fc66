"""PEFT's files for an adapter: `adapter_config.json` and `adapter_model.safetensors`, read and written as bytes.

The bytes depend on the weights alone, so equal adapters have equal hashes. Everything read is checked, because
safetensors checks only its structure: it lets NaN and foreign shapes through.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import safetensors.torch
import torch

from engine.lora.adapter import Adapter, LoraSpec, module_pattern
from store.adapter_files import CONFIG_NAME, WEIGHTS_NAME
from store.errors import CorruptError

if TYPE_CHECKING:
    from collections.abc import Mapping

_PREFIX = "base_model.model."


def adapter_files(adapter: Adapter, base_name: str) -> dict[str, bytes]:
    """Return the two files of a PEFT adapter folder by name."""
    tensors = {}
    for module, (a, b) in adapter.weights.items():
        tensors[f"{_PREFIX}{module}.lora_A.weight"] = a.detach().cpu().contiguous()
        tensors[f"{_PREFIX}{module}.lora_B.weight"] = b.detach().cpu().contiguous()
    weights = safetensors.torch.save(dict(sorted(tensors.items())), metadata={"format": "pt"})
    config = json.dumps(_config(adapter.spec, base_name), indent=2, sort_keys=True) + "\n"
    return {CONFIG_NAME: config.encode(), WEIGHTS_NAME: weights}


def read_adapter(files: Mapping[str, bytes], spec_of_base: LoraSpec, where: str) -> Adapter:
    """Read an adapter for a base; `spec_of_base` lists every matrix that the base has, `where` names it in errors.

    Raises CorruptError if a file is missing, a shape or module is foreign, the rank is not the stated one, or a value
    is not finite.
    """
    try:
        config = json.loads(files[CONFIG_NAME])
        tensors = safetensors.torch.load(files[WEIGHTS_NAME])
        rank, alpha = int(config["r"]), float(config["lora_alpha"])
    except (KeyError, TypeError, ValueError, safetensors.SafetensorError) as error:
        raise CorruptError(f"{where}: not a PEFT LoRA adapter in safetensors: {error!r}") from error
    sizes = {target.module: target for target in spec_of_base.targets}
    weights: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    for module in sorted({key.removeprefix(_PREFIX).rsplit(".lora_", 1)[0] for key in tensors}):
        a, b = (tensors.get(f"{_PREFIX}{module}.lora_{side}.weight") for side in "AB")
        target = sizes.get(module)
        if target is None or a is None or b is None:
            raise CorruptError(f"{where}: module {module!r} does not fit the base model")
        if a.shape != (rank, target.inputs) or b.shape != (target.outputs, rank):
            raise CorruptError(f"{where}: {module}: shapes {tuple(a.shape)}, {tuple(b.shape)} do not fit rank {rank}")
        if not (bool(torch.isfinite(a).all()) and bool(torch.isfinite(b).all())):
            raise CorruptError(f"{where}: {module}: the weights contain NaN or infinite values")
        weights[module] = (a.float(), b.float())
    targets = tuple(target for target in spec_of_base.targets if target.module in weights)
    spec = LoraSpec(rank, alpha, targets, bool(config.get("fan_in_fan_out", False)))
    return Adapter(spec, {target.module: weights[target.module] for target in targets})


def _config(spec: LoraSpec, base_name: str) -> dict[str, object]:
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base_name,
        "bias": "none",
        "fan_in_fan_out": spec.fan_in_fan_out,
        "inference_mode": True,
        "init_lora_weights": True,
        "lora_alpha": spec.alpha,
        "lora_dropout": 0.0,
        "r": spec.rank,
        "target_modules": module_pattern(spec.targets),
    }
