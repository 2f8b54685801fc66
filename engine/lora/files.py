"""PEFT's files for an adapter: `adapter_config.json` and `adapter_model.safetensors`, read and written as bytes.

The bytes depend on the weights alone, so equal adapters have equal hashes. Everything read is checked, because
safetensors checks only its structure: it lets NaN and foreign shapes through. A configuration with which PEFT would
compute something else than the engine, which knows plain LoRA only, is refused by the name of the key.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import regex
import safetensors.torch
import torch

from engine.lora.adapter import Adapter, LoraSpec, module_pattern
from store.adapter_files import CONFIG_NAME, WEIGHTS_NAME
from store.errors import CorruptError

if TYPE_CHECKING:
    from collections.abc import Mapping

_PREFIX = "base_model.model."
_REQUIRED = {"peft_type": "LORA", "bias": "none"}
_WITHOUT_EFFECT = frozenset(
    {
        "task_type",
        "auto_mapping",
        "peft_version",
        "base_model_name_or_path",
        "revision",
        "inference_mode",
        "lora_dropout",
        "megatron_core",
        "qalora_group_size",
    }
)
_DTYPES = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})
_LARGEST_FLOAT32 = 3.4e38
_PATTERN_S = 1.0


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

    Raises CorruptError if a file is missing, a shape or module is foreign, the rank is not the stated one, a value is
    not finite or not a floating-point number, or the configuration asks for more than plain LoRA.
    """
    try:
        config = json.loads(files[CONFIG_NAME])
        tensors = safetensors.torch.load(files[WEIGHTS_NAME])
        rank, alpha = config["r"], config["lora_alpha"]
    except (KeyError, TypeError, ValueError, RecursionError, safetensors.SafetensorError) as error:
        raise CorruptError(f"{where}: not a PEFT LoRA adapter in safetensors: {error!r}") from error
    modules = sorted({key.removeprefix(_PREFIX).rsplit(".lora_", 1)[0] for key in tensors})
    if problems := _config_problems(config):
        raise CorruptError(
            f"{where}: {CONFIG_NAME} asks for something else than plain LoRA, so PEFT would compute other answers",
            problems=problems,
            next_step="Train or export the adapter again with plain LoRA.",
        )
    sizes = {target.module: target for target in spec_of_base.targets}
    weights: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    for module in modules:
        a, b = (tensors.get(f"{_PREFIX}{module}.lora_{side}.weight") for side in "AB")
        target = sizes.get(module)
        if target is None or a is None or b is None:
            raise CorruptError(f"{where}: module {module!r} does not fit the base model")
        if a.shape != (rank, target.inputs) or b.shape != (target.outputs, rank):
            raise CorruptError(f"{where}: {module}: shapes {tuple(a.shape)}, {tuple(b.shape)} do not fit rank {rank}")
        if not {a.dtype, b.dtype} <= _DTYPES:
            raise CorruptError(
                f"{where}: {module}: the weights are {a.dtype} and {b.dtype}, not floating-point numbers"
            )
        if not (bool(torch.isfinite(a.float()).all()) and bool(torch.isfinite(b.float()).all())):
            raise CorruptError(f"{where}: {module}: the weights contain NaN or infinite values")
        weights[module] = (a.float(), b.float())
    if missed := _missed_by_peft(config["target_modules"], modules):
        raise CorruptError(
            f"{where}: {CONFIG_NAME}: target_modules does not name {missed}, so PEFT would leave its weights out"
        )
    targets = tuple(target for target in spec_of_base.targets if target.module in weights)
    spec = LoraSpec(rank, float(alpha), targets, bool(config.get("fan_in_fan_out", False)))
    return Adapter(spec, {target.module: weights[target.module] for target in targets})


def _config_problems(config: dict[str, Any]) -> list[str]:
    """Return one sentence for each key because of which PEFT would compute something else than the engine, or fail."""
    problems = [
        f"{key} is {config.get(key)!r:.80}, not {expected!r}"
        for key, expected in _REQUIRED.items()
        if config.get(key) != expected
    ]
    rank, alpha = config["r"], config["lora_alpha"]
    if type(rank) is not int or rank < 1:
        problems.append(f"r is {rank!r:.80}, not a whole number above 0")
    if type(alpha) not in (int, float) or not abs(alpha) <= _LARGEST_FLOAT32:
        problems.append(f"lora_alpha is {alpha!r:.80}, not a number that 32 bits hold")
    known = {*_REQUIRED, *_WITHOUT_EFFECT, "r", "lora_alpha", "target_modules", "fan_in_fan_out", "init_lora_weights"}
    problems += [
        f"{key} is {value!r:.80}, which changes what the adapter does"
        for key, value in sorted(config.items())
        if key not in known and value not in (None, False, "", [], {})
    ]
    if not isinstance(config.get("fan_in_fan_out", False), bool):
        problems.append("fan_in_fan_out is neither true nor false")
    if config.get("init_lora_weights", True) not in (True, False, "gaussian"):
        problems.append(f"init_lora_weights is {config['init_lora_weights']!r:.80}, which changes the base's weights")
    if not isinstance(config.get("target_modules"), (str, list)) or not config["target_modules"]:
        problems.append("target_modules names no modules")
    return problems


def _missed_by_peft(target_modules: str | list[Any], modules: list[str]) -> str | None:
    """Return the first adapted module that PEFT would not find by `target_modules`, None if it finds all."""
    if target_modules == "all-linear":
        return None
    if isinstance(target_modules, list):
        names = {name for name in target_modules if isinstance(name, str)}
        return next(
            (one for one in modules if one not in names and not any(one.endswith(f".{n}") for n in names)), None
        )
    try:
        pattern = regex.compile(target_modules)
        return next((one for one in modules if not pattern.fullmatch(one, timeout=_PATTERN_S)), None)
    except (regex.error, TimeoutError, RecursionError, MemoryError):
        return modules[0] if modules else None


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
