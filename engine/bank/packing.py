"""Packs the next sequence of every busy slot into one row for the frozen base.

On a CPU, slots of similar length are padded to the longest of their part, at the end of their last sequence: a few more
tokens for the base, but gathering tokens into slots becomes a view. No sequence attends to its padding, and no loss is
taken over it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from engine.bank.head_loss import HeadLoss
from engine.model.token_layout import ATTENTION_CALLS_IN_TOKENS, Layout, lay_out, tensor_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import nn

    from engine.bank.job import TrainingSequence


@dataclass(frozen=True, slots=True)
class Targets:
    """The target tokens, one for each target position, in order: [targets].

    If some positions have soft targets, `rows` names the position of each token and `probabilities` its probability
    there; all three are then as long as all target tokens together.
    """

    tokens: torch.Tensor
    rows: torch.Tensor | None = None
    probabilities: torch.Tensor | None = None

    def losses_at(self, hidden: torch.Tensor, head: nn.Linear) -> torch.Tensor:
        """Return the same for hidden states [targets, size] and the head that they go into, without keeping logits."""
        found: torch.Tensor = HeadLoss.apply(  # type: ignore[no-untyped-call]
            hidden, head.weight, head.bias, self.tokens, self.rows, self.probabilities
        )
        return found

    def losses(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the cross-entropy at each target position, [targets], for logits [targets, vocabulary]; in nats."""
        if self.rows is None or self.probabilities is None:
            return torch.nn.functional.cross_entropy(logits.float(), self.tokens, reduction="none")
        chosen = logits.float().log_softmax(dim=-1)[self.rows, self.tokens]
        return chosen.new_zeros(len(logits)).index_add(0, self.rows, chosen * -self.probabilities)


@dataclass(frozen=True, slots=True)
class PackedTick:
    """One row of tokens for the base, and the loss that is taken over it.

    `tokens` and `positions` are [tokens]. `target_positions` are the positions whose next token is predicted, `slots`
    the slot of each, `loss_weights` its share in that slot's loss, and `own_weights` its share in the mean over the
    slot's own sequences, zero for replayed ones; all four are [targets].
    """

    tokens: torch.Tensor
    positions: torch.Tensor
    target_positions: torch.Tensor
    targets: Targets
    slots: torch.Tensor
    loss_weights: torch.Tensor
    own_weights: torch.Tensor
    by_slot: Layout
    by_sequence: Layout


Group = tuple[int, float]  # how many sequences, and the weight of their mean loss


def pack(
    sequences: Sequence[Sequence[TrainingSequence]],
    device: torch.device,
    groups: Sequence[Sequence[Group]] | None = None,
) -> PackedTick:
    """Pack the sequences of each slot, slot after slot.

    `groups` splits the sequences of each slot: its own first, then the replay groups. Without it all sequences are own.
    """
    on_cpu = device.type == "cpu"
    lengths = [[one.input_length for one in taken] for taken in sequences]
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
    target_positions: list[int] = []
    targets = _TargetLists()
    slots: list[int] = []
    loss_weights: list[float] = []
    own_weights: list[float] = []
    length_of_next = iter(lengths)
    for slot, taken in enumerate(sequences):
        learnt_of: list[int] = []
        for one in taken:
            padding = next(length_of_next) - one.input_length
            targets.add(one, len(target_positions))
            target_positions += range(len(tokens) + one.first_target - 1, len(tokens) + one.input_length)
            tokens += one.tokens[:-1] + one.tokens[-1:] * padding
            positions += [*range(one.input_length), *[one.input_length - 1] * padding]
            learnt_of.append(one.input_length + 1 - one.first_target)
        slots += [slot] * sum(learnt_of)
        for place, (tokens_of_group, weight) in enumerate(_in_groups(learnt_of, groups[slot])):
            loss_weights += [weight / tokens_of_group] * tokens_of_group
            own_weights += [0.0 if place else 1.0 / tokens_of_group] * tokens_of_group
    return PackedTick(
        tokens=tensor_of(tokens, device),
        positions=tensor_of(positions, device),
        target_positions=tensor_of(target_positions, device),
        targets=targets.on(device),
        slots=tensor_of(slots, device),
        loss_weights=tensor_of(loss_weights, device),
        own_weights=tensor_of(own_weights, device),
        by_slot=by_slot,
        by_sequence=by_sequence,
    )


def _in_groups(target_positions: Sequence[int], groups: Sequence[Group]) -> Iterator[tuple[int, float]]:
    """Sum the target tokens of each group's sequences."""
    at = 0
    for count, weight in groups:
        yield sum(target_positions[at : at + count]), weight
        at += count


@dataclass(slots=True)
class _TargetLists:
    tokens: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)
    one_each: bool = True

    def add(self, sequence: TrainingSequence, row: int) -> None:
        """Add the targets of a sequence whose first target position is this row."""
        if sequence.soft_target is None:
            target_positions = sequence.tokens[sequence.first_target :]
            self.tokens += target_positions
            self.rows += range(row, row + len(target_positions))
            self.probabilities += [1.0] * len(target_positions)
        else:
            self.one_each = False
            self.tokens += sequence.soft_target.tokens
            self.rows += [row] * len(sequence.soft_target.tokens)
            self.probabilities += sequence.soft_target.probabilities

    def on(self, device: torch.device) -> Targets:
        tokens = tensor_of(self.tokens, device)
        if self.one_each:
            return Targets(tokens)
        return Targets(tokens, tensor_of(self.rows, device), tensor_of(self.probabilities, device))
