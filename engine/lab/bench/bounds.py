"""What bounds the bank: its arithmetic against the machine's rate of matrix products, and where a tick's time goes.

One token of LoRA training costs 4 N + 6 P floating-point operations (N: matrix parameters of the frozen base with its
head, P: of the adapter): forward and backward through the base, and both plus the weight gradient through the adapter.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import torch

from engine.lab.bench.baselines import clock_for
from engine.lora.adapter import adaptable_modules

if TYPE_CHECKING:
    from engine.bank.training import BankStatistics
    from engine.lab.bench.jobs import RoundTiming, Subject
    from engine.model.base import BaseModel

_MEASURE_S = 0.3


def matrix_parameters(base: BaseModel) -> int:
    """Return the number of parameters in matrix products, including the output head."""
    head = base.model.get_output_embeddings()
    modules = [*adaptable_modules(base.model).values(), *([] if head is None else [head])]
    return sum(int(module.weight.numel()) for module in modules)


def product_rate(device: torch.device, precision: torch.dtype, rows: int, size: int) -> float:
    """Return the floating-point operations per second of [rows, size] × [size, size], best of repeats over 0.3 s."""
    left = torch.ones(rows, size, device=device, dtype=precision)
    right = torch.ones(size, size, device=device, dtype=precision)
    clock, best = clock_for(device), float("inf")
    until = time.perf_counter() + _MEASURE_S
    while time.perf_counter() < until:
        started = clock()
        torch.mm(left, right)
        best = min(best, clock() - started)
    return 2.0 * rows * size * size / best


def bounds(base: BaseModel, subject: Subject, done: RoundTiming, statistics: BankStatistics) -> dict[str, Any]:
    """Compare the arithmetic of a round of the bank with the machine's rate, and split a tick into its parts."""
    per_token = 4 * matrix_parameters(base) + 6 * subject.spec.parameters
    ticks = max(1, statistics.ticks)
    tokens_per_tick = max(1, statistics.input_tokens // ticks)
    width = int(base.model.config.hidden_size)
    large = product_rate(subject.device, subject.precision, 1024, 1024)
    own = product_rate(subject.device, subject.precision, tokens_per_tick, width)
    reached = per_token * statistics.input_tokens / done.seconds
    return {
        "flops_per_token": per_token,
        "reached_flops_per_s": reached,
        "matrix_product_flops_per_s": large,
        "matrix_product_flops_per_s_at_this_width_and_tick": own,
        "share_of_matrix_product_rate": reached / large,
        "ticks": statistics.ticks,
        "tokens_per_tick": tokens_per_tick,
        "seconds_per_tick": {
            "all": done.seconds / ticks,
            "forward": statistics.forward_s / ticks,
            "backward": statistics.backward_s / ticks,
            "optimiser": statistics.optimiser_s / ticks,
            "arithmetic_alone": per_token * tokens_per_tick / large,
        },
    }
