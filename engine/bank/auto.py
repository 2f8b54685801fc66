"""How many inner updates to train at once where the settings say `auto`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from engine.lora.adapter import LoraSpec
    from engine.model.base import BaseModel

_CPU_SLOTS_SMALL, _CPU_SLOTS_LARGE = 16, 8
_SMALL_MODEL_PARAMETERS = 20_000_000
_CUDA_SLOTS_MOST = 64
_BYTES_PER_PARAMETER = 4 * 4  # weight, gradient and two moments in float32
_SHARE_OF_FREE_MEMORY = 0.25


def auto_slots(base: BaseModel, spec: LoraSpec) -> int:
    """Slots for a base: on CUDA as many as a quarter of the free memory holds, at most 64; on a CPU by model size.

    On a CPU the products of a large model are already full at a few sequences, and more slots only cost memory.
    """
    if base.device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(base.device)
        fits = int(free * _SHARE_OF_FREE_MEMORY) // (spec.parameters * _BYTES_PER_PARAMETER)
        return max(1, min(_CUDA_SLOTS_MOST, fits))
    small = sum(parameter.numel() for parameter in base.model.parameters()) < _SMALL_MODEL_PARAMETERS
    return _CPU_SLOTS_SMALL if small else _CPU_SLOTS_LARGE
