"""Choice of device and precision, from the settings or by measuring.

bfloat16 halves the memory and is much faster on processors that compute in it, but slower than float32 on those that
only emulate it. `auto` therefore asks the processor, and then the clock.
"""

from __future__ import annotations

import time
from pathlib import Path

import torch

from store.errors import WrongUseError

_WORTH_BFLOAT16_PARAMETERS = 20_000_000
_CPU_FLAGS = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")


def choose_device(wanted: str) -> torch.device:
    """Return the device that the settings name; `auto` takes the first CUDA device, else the CPU."""
    if wanted == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    device = torch.device(wanted)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise WrongUseError(
            f"model.device is {wanted!r}, but torch {torch.__version__} finds no CUDA device",
            next_step="set model.device to auto or cpu in seal.yaml",
        )
    return device


def choose_precision(wanted: str, device: torch.device, parameters: int) -> torch.dtype:
    """Return the precision of the frozen base; adapters and their optimiser are always float32.

    `auto` is bfloat16 on CUDA devices that have it, and on CPUs that have it if it proves faster for a model large
    enough for matrix products to matter; otherwise float32.
    """
    if wanted != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[wanted]
    if parameters < _WORTH_BFLOAT16_PARAMETERS:
        return torch.float32
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    return torch.bfloat16 if _cpu_has_bfloat16() and _bfloat16_is_faster() else torch.float32


def _cpu_has_bfloat16() -> bool:
    try:
        words = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return False
    return any(flag in words for flag in _CPU_FLAGS)


def _bfloat16_is_faster() -> bool:
    return _seconds_for_products(torch.bfloat16) < 0.8 * _seconds_for_products(torch.float32)


def _seconds_for_products(dtype: torch.dtype) -> float:
    left, right = torch.ones(128, 1024, dtype=dtype), torch.ones(1024, 1024, dtype=dtype)
    best = float("inf")
    for _ in range(6):
        started = time.perf_counter()
        torch.mm(left, right)
        best = min(best, time.perf_counter() - started)
    return best
