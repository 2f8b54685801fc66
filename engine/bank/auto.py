"""How many inner updates to train at once if the settings say `auto`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from engine.lora.adapter import adaptable_modules, sizes_of
from engine.runtime.machine import usable_memory_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.bank.job import InnerJob
    from engine.lora.adapter import LoraSpec
    from engine.model.base import BaseModel

_MOST_SLOTS = {"cpu": 32, "cuda": 64}
_BYTES_PER_PARAMETER = 18  # weight, gradient and two moments in float32, and what a step needs for a moment
_SHARE_OF_MEMORY = 0.25
_USUAL_TOKENS = 64
# What a step keeps of each token, in numbers of the base's precision: for each input and output of a linear layer, and
# for each entry of the vocabulary. A working copy of the adapter in that precision comes on top.
_KEPT_OF_LAYERS, _KEPT_OF_LOGITS = 0.8, 2.2


def auto_slots(base: BaseModel, spec: LoraSpec, jobs: Sequence[InnerJob] = (), processes: int = 1) -> int:
    """Return the slots in all processes together: as many as fit a quarter of the memory.

    Each process has at least one, and at most 32 on a CPU. On two cores, with a model of 1 million parameters, 32 slots
    made 1.4 times as many steps per second as 16, and 64 hardly more: matrix products are full by then, and weights
    evict each other from the cache. The limit for CUDA, which looks at free memory, is 64, a guess.
    """
    fits = int(_memory_bytes(base.device) * _SHARE_OF_MEMORY) // slot_bytes(base, spec, tokens_per_step(jobs))
    return max(processes, min(processes * _MOST_SLOTS.get(base.device.type, _MOST_SLOTS["cpu"]), fits))


def tokens_per_step(jobs: Sequence[InnerJob]) -> int:
    """Return the most tokens that a step of any of these jobs can have, what it replays included."""
    return max((_tokens_per_step(job) for job in jobs), default=_USUAL_TOKENS)


def _tokens_per_step(job: InnerJob) -> int:
    lengths = sorted((len(one.tokens) for one in job.sequences), reverse=True)
    replayed = (
        math.ceil(group.per_step) * max((len(one.tokens) for one in group.sequences), default=0)
        for group in job.replay_groups
    )
    return sum(lengths[: job.recipe.batch_size]) + sum(replayed)


def slot_bytes(base: BaseModel, spec: LoraSpec, tokens: int) -> int:
    """Return the peak memory of a slot whose steps have up to so many tokens: its adapter, activations and logits.

    Activations grow with the widths of all linear layers, logits with the vocabulary. The factors were measured with a
    pretrained model in two precisions (docs/experiments.md); every token counts as one that is learnt.
    """
    width = sum(sum(sizes_of(layer)) for layer in adaptable_modules(base.model).values())
    vocabulary = int(base.model.get_input_embeddings().weight.shape[0])
    element = base.precision.itemsize
    of_token = element * (width * _KEPT_OF_LAYERS + vocabulary * _KEPT_OF_LOGITS)
    return spec.parameters * (_BYTES_PER_PARAMETER + element) + int(tokens * of_token)


def _memory_bytes(device: torch.device) -> int:
    return int(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else usable_memory_bytes()
