"""Packs the next sequence of every busy slot into one row for the frozen base.

On a CPU slots of like length are padded to the longest of their part, at the end of their last sequence: a few more
tokens for the base, but every gathering into slots becomes a view. What pads a sequence is never seen by it and never
learnt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from engine.bank.layout import ATTENTION_CALLS_IN_TOKENS, Layout, lay_out, to_device

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.bank.job import TrainingSequence


@dataclass(frozen=True, slots=True)
class PackedTick:
    """One row of tokens, and what is learnt from it.

    `tokens` and `positions` are [tokens]. `learnt` names the positions whose next token (`targets`) is learnt, `slots`
    the slot of each, `shares` its share in the loss of that slot, and `own` its share in the mean over the slot's own
    sequences, zero for companions; all five are [learnt tokens].
    """

    tokens: torch.Tensor
    positions: torch.Tensor
    learnt: torch.Tensor
    targets: torch.Tensor
    slots: torch.Tensor
    shares: torch.Tensor
    own: torch.Tensor
    by_slot: Layout
    by_sequence: Layout


Group = tuple[int, float]  # how many sequences, and the weight of their mean loss


def pack(
    sequences: Sequence[Sequence[TrainingSequence]],
    device: torch.device,
    groups: Sequence[Sequence[Group]] | None = None,
) -> PackedTick:
    """Pack the sequences of each slot, slot after slot.

    `groups` cuts those of each slot into groups, the slot's own first and then its companions; without it all are own.
    """
    on_cpu = device.type == "cpu"
    lengths = [[len(one.tokens) for one in taken] for taken in sequences]
    by_slot = lay_out([sum(of_slot) for of_slot in lengths], device, in_parts=on_cpu)
    if on_cpu:
        for of_slot, longest in zip(lengths, by_slot.longest(), strict=True):
            of_slot[-1] += longest - sum(of_slot)
        by_slot = lay_out(list(map(sum, lengths)), device, in_parts=True)
    in_row = [length for of_slot in lengths for length in of_slot]
    by_sequence = by_slot
    if len(in_row) > len(lengths):
        by_sequence = lay_out(in_row, device, in_parts=on_cpu, calls=ATTENTION_CALLS_IN_TOKENS)
    cut = [[(len(taken), 1.0)] for taken in sequences] if groups is None else groups
    return _packed_row(sequences, cut, in_row, by_slot, by_sequence, device=device)


def _packed_row(
    sequences: Sequence[Sequence[TrainingSequence]],
    groups: Sequence[Sequence[Group]],
    lengths: list[int],
    by_slot: Layout,
    by_sequence: Layout,
    *,
    device: torch.device,
) -> PackedTick:
    tokens: list[int] = []
    positions: list[int] = []
    learnt: list[int] = []
    targets: list[int] = []
    slots: list[int] = []
    shares: list[float] = []
    own: list[float] = []
    length_of_next = iter(lengths)
    for slot, taken in enumerate(sequences):
        learnt_of: list[int] = []
        for one in taken:
            first, real = max(1, one.learnt_from), len(one.tokens)
            padding = next(length_of_next) - real
            learnt += range(len(tokens) + first - 1, len(tokens) + real - 1)
            targets += one.tokens[first:]
            tokens += one.tokens + one.tokens[-1:] * padding
            positions += [*range(real), *[real - 1] * padding]
            learnt_of.append(real - first)
        slots += [slot] * sum(learnt_of)
        for place, (tokens_of_group, weight) in enumerate(_in_groups(learnt_of, groups[slot])):
            shares += [weight / tokens_of_group] * tokens_of_group
            own += [0.0 if place else 1.0 / tokens_of_group] * tokens_of_group
    return PackedTick(
        tokens=to_device(torch.tensor(tokens), device),
        positions=to_device(torch.tensor(positions), device),
        learnt=to_device(torch.tensor(learnt), device),
        targets=to_device(torch.tensor(targets), device),
        slots=to_device(torch.tensor(slots), device),
        shares=to_device(torch.tensor(shares), device),
        own=to_device(torch.tensor(own), device),
        by_slot=by_slot,
        by_sequence=by_sequence,
    )


def _in_groups(learnt: Sequence[int], groups: Sequence[Group]) -> Iterator[tuple[int, float]]:
    """Sum the learnt tokens of each group's sequences."""
    at = 0
    for count, weight in groups:
        yield sum(learnt[at : at + count]), weight
        at += count
