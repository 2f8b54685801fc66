"""How many compute processes a base is worth."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

import torch

from engine.executors.process_pool import ProcessPool
from engine.runtime.machine import usable_cores, usable_memory_bytes

if TYPE_CHECKING:
    from engine.model.base import BaseModel

# Each process takes seconds to load torch. This much takes one core about 20 s with the bundled model, and 10 s with
# one of 135 million parameters; until then one thread of this process works, which waits for nobody either.
LEAST_WORK = 6e11  # floating-point operations
_BYTES_PER_PROCESS = 310 * 2**20  # of Python, torch and transformers; the weights are shared
_SHARE_OF_MEMORY = 0.25


def make_pool(base: BaseModel, processes: Literal["auto"] | int, *, own_code: bool) -> ProcessPool | None:
    """Return the processes that the settings ask for, none of them started yet; None if one is enough.

    `auto` is one for each physical core that this process may use, started once there is much to do. They are no more
    than torch would have threads, which OMP_NUM_THREADS limits, and than fit a quarter of the memory. A base on a GPU,
    or with Python code of its own, has one.
    """
    if base.device.type != "cpu" or own_code or (processes == "auto" and not hasattr(os, "pwrite")):
        return None
    fit = int(usable_memory_bytes() * _SHARE_OF_MEMORY) // _BYTES_PER_PROCESS
    size = min(usable_cores(), torch.get_num_threads(), fit) if processes == "auto" else processes
    return None if size <= 1 else ProcessPool(base, size, least_work=LEAST_WORK if processes == "auto" else 0.0)
