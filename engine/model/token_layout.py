"""Where each slot's tokens are in a packed row, and how to bring them into equal-sized groups and back.

The base works on packed tokens, without any padding. Only the products with a slot's own matrices, and attention, need
equal groups; they gather into [groups, longest, …] and scatter back. Groups of different length are kept in parts with
a longest length of their own, so there is little padding there either.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

# The cost of one more part in calls, as padded tokens; measured on CPUs, where calls are cheap compared to products.
# Attention makes more calls per part, and does less work per token.
CALLS_IN_TOKENS, ATTENTION_CALLS_IN_TOKENS = 32, 96


@dataclass(frozen=True, slots=True)
class Grouping:
    """Consecutive groups of tokens: group g holds `lengths[g]` tokens of the packed row, in order.

    `into` is [groups · longest], the packed token for each place of the equal-sized form. Places past a group's end
    repeat its last token: a token of another group could carry its NaN over, since zero times NaN is NaN. `back` is
    [tokens], the place of each packed token. Both are None if all groups are equally long, because then views are
    enough.
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
        """Like `gather`, with zeros past a group's end."""
        if self.back is None:
            return packed.view(self.groups, self.longest, *packed.shape[1:])
        rows = packed.new_zeros(self.groups * self.longest, *packed.shape[1:])
        rows.index_copy_(0, self.back, packed)
        return rows.view(self.groups, self.longest, *packed.shape[1:])

    def scatter(self, grouped: torch.Tensor) -> torch.Tensor:
        """[groups, longest, …] → [tokens, …]."""
        rows = grouped.reshape(self.groups * self.longest, *grouped.shape[2:])
        return rows if self.back is None else rows.index_select(0, self.back)


@dataclass(frozen=True, slots=True)
class LayoutPart:
    """Adjacent groups of similar length: which groups of the layout, which tokens of the packed row."""

    groups: slice
    tokens: slice
    grouping: Grouping


@dataclass(frozen=True, slots=True)
class Layout:
    """All groups of a packed row, in adjacent parts."""

    parts: tuple[LayoutPart, ...]
    tokens: int

    def longest(self) -> list[int]:
        """Return, for each group, the length of the longest in its part."""
        return [part.grouping.longest for part in self.parts for _ in range(part.grouping.groups)]

    def by_groups(self, stacked: torch.Tensor) -> Sequence[torch.Tensor]:
        """Split [all groups, …] into the parts."""
        if len(self.parts) == 1:
            return (stacked,)
        return stacked.split_with_sizes([part.grouping.groups for part in self.parts])

    def by_tokens(self, packed: torch.Tensor) -> Sequence[torch.Tensor]:
        """Split [tokens, …] into the parts."""
        if len(self.parts) == 1:
            return (packed,)
        return packed.split_with_sizes([part.grouping.tokens for part in self.parts])

    def gather(self, packed: torch.Tensor) -> list[torch.Tensor]:
        """[tokens, …] → [groups, longest, …] for each part."""
        return [part.grouping.gather(rows) for part, rows in zip(self.parts, self.by_tokens(packed), strict=True)]

    def gather_zeroed(self, packed: torch.Tensor) -> list[torch.Tensor]:
        """Like `gather`, with zeros past a group's end."""
        return [
            part.grouping.gather_zeroed(rows) for part, rows in zip(self.parts, self.by_tokens(packed), strict=True)
        ]

    def products(self, lefts: Sequence[torch.Tensor], rights: torch.Tensor) -> list[torch.Tensor]:
        """Multiply each group by its own matrix: [groups, …, k] for each part, [all groups, k, n]."""
        return [torch.bmm(left, right) for left, right in zip(lefts, self.by_groups(rights), strict=True)]

    def add_products(
        self, to: torch.Tensor, lefts: Sequence[torch.Tensor], rights: torch.Tensor, factor: float
    ) -> None:
        """Add the products, times a factor, to [tokens, n] of any precision, in place."""
        for part, rows, left, right in zip(self.parts, self.by_tokens(to), lefts, self.by_groups(rights), strict=True):
            grouping = part.grouping
            if grouping.back is None and to.dtype == left.dtype:
                rows.view(grouping.groups, grouping.longest, -1).baddbmm_(left, right, alpha=factor)
            else:
                rows.add_(grouping.scatter(torch.bmm(left, right)), alpha=factor)


def group_tokens(lengths: Sequence[int], device: torch.device) -> Grouping:
    """Describe adjacent groups of the given lengths. Some may be empty, but not all."""
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


def lay_out(
    lengths: Sequence[int], device: torch.device, *, in_parts: bool = False, calls: int = CALLS_IN_TOKENS
) -> Layout:
    """Lay out groups as one part, or in the parts that cost least; in parts, no group may be empty.

    `calls` is the cost of one more part, in padded tokens.
    """
    cuts = _cheapest_cuts(lengths, calls) if in_parts else [0, len(lengths)]
    parts, token = [], 0
    for first, last in itertools.pairwise(cuts):
        mine = lengths[first:last]
        parts.append(LayoutPart(slice(first, last), slice(token, token + sum(mine)), group_tokens(mine, device)))
        token += sum(mine)
    return Layout(tuple(parts), token)


def _cheapest_cuts(lengths: Sequence[int], calls: int) -> list[int]:
    """Return where to cut so that padding and calls cost least together, by dynamic programming."""
    backwards = np.array(lengths)[::-1]
    counts = np.arange(1, len(lengths) + 1)
    best, cut_before = np.zeros(len(lengths) + 1, dtype=np.int64), [0]
    for last in range(1, len(lengths) + 1):
        longest = np.maximum.accumulate(backwards[len(lengths) - last :])  # of the last 1, 2, … groups before `last`
        costs = best[last - 1 :: -1] + counts[:last] * longest
        cheapest = int(costs.argmin())
        best[last] = costs[cheapest] + calls
        cut_before.append(last - 1 - cheapest)
    cuts = [len(lengths)]
    while cuts[-1] > 0:
        cuts.append(cut_before[cuts[-1]])
    return cuts[::-1]


def tensor_of(values: Sequence[float], device: torch.device) -> torch.Tensor:
    """Move numbers to the device; torch reads a list several times more slowly than numpy does."""
    if not values:
        return torch.tensor(values, device=device)
    found = np.array(values)
    return to_device(torch.from_numpy(found.astype(np.float32) if found.dtype == np.float64 else found), device)


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Move a small CPU tensor to the device without waiting for it."""
    if device.type == "cpu":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)
