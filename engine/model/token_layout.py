"""Where the tokens of each slot lie in a packed row, and how to bring them into equal-sized groups and back.

The base works on packed tokens, without any padding. Only the products of a slot's own matrices, and attention, need
equal groups; they gather into [groups, longest, …] and scatter back. Groups of unlike length are kept in parts, each of
which has its own longest, so that little is padded there either.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

# What one more part costs in calls, counted in padded tokens; measured on CPUs, where calls are cheap beside products.
# Attention makes more calls for a part, and works less for a token.
CALLS_IN_TOKENS, ATTENTION_CALLS_IN_TOKENS = 32, 96


@dataclass(frozen=True, slots=True)
class Grouping:
    """Consecutive groups of tokens: group g holds `lengths[g]` tokens of the packed row, in order.

    `into` is [groups · longest], the packed token for each place of the equal-sized form. Places past a group's end
    name its last token: a token of another group could carry that one's NaN over, since zero times NaN is NaN. `back`
    is [tokens], the place for each packed token. Both are None where all groups are equally long, so that views do.
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


@dataclass(frozen=True, slots=True)
class LayoutPart:
    """Groups of like length that follow one another: which groups of the layout, which tokens of the packed row."""

    groups: slice
    tokens: slice
    grouping: Grouping


@dataclass(frozen=True, slots=True)
class Layout:
    """All groups of a packed row, in parts that follow one another."""

    parts: tuple[LayoutPart, ...]
    tokens: int

    def longest(self) -> list[int]:
        """For each group the tokens of the longest of its part."""
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
        """As `gather`, with zeros past a group's end."""
        return [
            part.grouping.gather_zeroed(rows) for part, rows in zip(self.parts, self.by_tokens(packed), strict=True)
        ]

    def products(self, lefts: Sequence[torch.Tensor], rights: torch.Tensor) -> list[torch.Tensor]:
        """Multiply each group by its own matrix: [groups, …, k] for each part, [all groups, k, n]."""
        return [torch.bmm(left, right) for left, right in zip(lefts, self.by_groups(rights), strict=True)]

    def add_products(
        self, to: torch.Tensor, lefts: Sequence[torch.Tensor], rights: torch.Tensor, factor: float
    ) -> None:
        """Add the products, times a factor, to [tokens, n] of any precision in place."""
        for part, rows, left, right in zip(self.parts, self.by_tokens(to), lefts, self.by_groups(rights), strict=True):
            grouping = part.grouping
            if grouping.back is None and to.dtype == left.dtype:
                rows.view(grouping.groups, grouping.longest, -1).baddbmm_(left, right, alpha=factor)
            else:
                rows.add_(grouping.scatter(torch.bmm(left, right)), alpha=factor)


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


def lay_out(
    lengths: Sequence[int], device: torch.device, *, in_parts: bool = False, calls: int = CALLS_IN_TOKENS
) -> Layout:
    """Lay groups out as one part, or in the parts that cost least; in parts, no group may be empty.

    `calls` is what one more part costs, in padded tokens.
    """
    cuts = _cheapest_cuts(lengths, calls) if in_parts else [0, len(lengths)]
    parts, token = [], 0
    for first, last in itertools.pairwise(cuts):
        mine = lengths[first:last]
        parts.append(LayoutPart(slice(first, last), slice(token, token + sum(mine)), group_tokens(mine, device)))
        token += sum(mine)
    return Layout(tuple(parts), token)


def _cheapest_cuts(lengths: Sequence[int], calls: int) -> list[int]:
    """Where to cut so that padded tokens and calls together are least, by dynamic programming over the first groups."""
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
    """Bring numbers to the device; torch reads a list several times as slowly as numpy does."""
    if not values:
        return torch.tensor(values, device=device)
    found = np.array(values)
    return to_device(torch.from_numpy(found.astype(np.float32) if found.dtype == np.float64 else found), device)


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Bring a small CPU tensor to the device without waiting for it."""
    if device.type == "cpu":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)
