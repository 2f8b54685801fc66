"""One packed forward pass over sequences of different length, each under its own adapter, without gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.bank.stack import stack_of
from engine.model.attention import packed_sequences
from engine.model.token_layout import lay_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.lora.adapter import Adapter
    from engine.model.base import BaseModel


@torch.inference_mode()
def packed_logits(
    base: BaseModel, adapters: Sequence[Adapter], sequences: Sequence[Sequence[int]]
) -> list[torch.Tensor]:
    """Return the logits [tokens, vocabulary], float32, of each sequence under its adapter."""
    lengths = [len(sequence) for sequence in sequences]
    stack = stack_of(adapters, adapters[0].spec, base.device, base.precision)
    grouping = lay_out(lengths, base.device)
    tokens = torch.tensor([token for sequence in sequences for token in sequence], device=base.device)
    positions = torch.cat([torch.arange(length, device=base.device) for length in lengths])
    matrices, scaling = stack.first(len(adapters)), stack.spec.scaling
    with base.switch.on(matrices, grouping, scaling, training=False), packed_sequences(grouping):
        logits = base.model(input_ids=tokens[None], position_ids=positions[None], use_cache=False).logits[0]
    return list(logits.float().split(lengths))
