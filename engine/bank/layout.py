"""Where the tokens of each slot lie in a packed row, and how to bring them into equal-sized groups and back.

The base works on packed tokens, without any padding. Only the products of a slot's own matrices, and attention, need
equal groups; they gather into [groups, longest, …] and scatter back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Grouping:
    """Consecutive groups of tokens: group g holds `lengths[g]` tokens of the packed row, in order.

    `into` is [groups · longest], the packed token for each place of the equal-sized form. Places past a group's end name
    its last token: a token of another group could carry that one's NaN over, since zero times NaN is NaN. `back` is
    [tokens], the place for each packed token. Both are None where all groups are equally long, so that a view suffices.
    """

    groups: int
    longest: int
    tokens: int
    into: torch.Tensor | None
    back: torch.Tensor | None

    def gather(self, packed: torch.Tensor) -> torch.Tensor:
        """[tokens, …] → [groups, longest, …]; places past a group's end repeat its last token."""
        rows = packed if self.into is None else packed.index_select(0, self.into)
        return rows.view(self.groups, self.longest, *packed.shape[1:])

    def gather_zeroed(self, packed: torch.Tensor) -> torch.Tensor:
        """As `gather`, with zeros past a group's end."""
        if self.back is None:
            return packed.view(self.groups, self.longest, *packed.shape[1:])
        rows = packed.new_zeros(self.groups * self.longest, *packed.shape[1:])
        rows.index_copy_(0, self.back, packed)
        return rows.view(self.groups, self.longest, *packed.shape[1:])

    def scatter(self, grouped: torch.Tensor) -> torch.Tensor:
        """[groups, longest, …] → [tokens, …]."""
        rows = grouped.reshape(self.groups * self.longest, *grouped.shape[2:])
        return rows if self.back is None else rows.index_select(0, self.back)


def group_tokens(lengths: Sequence[int], device: torch.device) -> Grouping:
    """Describe groups of the given lengths, which lie one after another. Empty groups are allowed, all empty not."""
    longest, tokens, groups = max(lengths), sum(lengths), len(lengths)
    if all(length == longest for length in lengths):
        return Grouping(groups, longest, tokens, None, None)
    sizes = torch.tensor(lengths)
    starts = sizes.cumsum(0) - sizes
    within = torch.minimum(torch.arange(longest)[None, :], (sizes - 1).clamp_(min=0)[:, None])
    into = (starts[:, None] + within).clamp_(max=tokens - 1).view(-1)
    group_of_token = torch.repeat_interleave(torch.arange(groups), sizes)
    back = group_of_token * longest + torch.arange(tokens) - starts[group_of_token]
    return Grouping(groups, longest, tokens, to_device(into, device), to_device(back, device))


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Bring a small CPU tensor to the device without waiting for it."""
    if device.type == "cpu":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)
