"""What chance alone may do: a bound on a share, and exact tests whether figures by task fell between two rounds. Pure.

Tasks are counted, not answers: answers after one inner update are right or wrong together, and would pretend to far
more evidence than there is. Values are put on a grid first, so that every permutation can be counted; that costs the
tests a little power and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, prod, sqrt
from statistics import NormalDist, mean
from typing import TYPE_CHECKING

import numpy as np

from engine.gates.retention import paired_p_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Steps of the grid in one unit, the finest that fits: shares of 2, 3, 4, 5, 6, 10 and 12 answers lie on the first one.
_STEPS = (60, 20, 10, 5, 2, 1)
_MOST_SUMS = 4000  # steps over all tasks together


@dataclass(frozen=True, slots=True)
class Fall:
    """A figure by task in two rounds: its means, the test's p, how many tasks, and whether the same ones."""

    before: float
    now: float
    p_value: float
    tasks: int
    same_tasks: bool

    @property
    def by(self) -> float:
        """How far the mean fell; below 0 where it rose."""
        return self.before - self.now


def least_share(count: int, of: int, significance: float) -> float:
    """Return the lower end of Wilson's interval for a share (Wilson 1927), one-sided; 0 where nothing was counted."""
    if of == 0:
        return 0.0
    z = NormalDist().inv_cdf(1 - significance)
    share, square = count / of, z * z / of
    middle = share + square / 2
    spread = z * sqrt(share * (1 - share) / of + square / (4 * of))
    return max(0.0, (middle - spread) / (1 + square))


def fall(before: Mapping[str, float], now: Mapping[str, float]) -> Fall | None:
    """Compare a figure by task in an earlier round and this one; None where a round has none.

    Where at least half of the tasks of the smaller round are in both, each of these is compared with itself, else the
    two groups. Permutation tests both (Fisher 1935, Pitman 1937), one-sided: a low p speaks for a fall.
    """
    if not before or not now:
        return None
    both = [task for task in before if task in now]
    if 2 * len(both) >= min(len(before), len(now)):
        p_value = paired_fall_p_value([before[task] for task in both], [now[task] for task in both])
        means = (mean(before[task] for task in both), mean(now[task] for task in both))
        return Fall(*means, p_value, len(both), same_tasks=True)
    p_value = fall_p_value(list(before.values()), list(now.values()))
    return Fall(mean(before.values()), mean(now.values()), p_value, len(before) + len(now), same_tasks=False)


def rise(before: Mapping[str, float], now: Mapping[str, float]) -> Fall | None:
    """Compare as `fall` does, for a rise: `by` is below 0 and a low p speaks for it."""
    turned = fall({task: -value for task, value in before.items()}, {task: -value for task, value in now.items()})
    return turned and Fall(-turned.before, -turned.now, turned.p_value, turned.tasks, turned.same_tasks)


def paired_fall_p_value(before: Sequence[float], now: Sequence[float]) -> float:
    """Return the chance of so large a fall of the sum, if in each pair the two values were as likely swapped."""
    changes = _on_grid([one - other for one, other in zip(before, now, strict=True)], anchored=True)
    sizes = [abs(change) for change in changes if change]
    if len(set(sizes)) <= 1:  # all changes weigh the same: the sign test, in whole numbers
        return paired_p_value(sum(change > 0 for change in changes), sum(change < 0 for change in changes))
    # chance[s]: that the changes which are falls sum up to s.
    chance = np.zeros(sum(sizes) + 1)
    chance[0] = 1.0
    for size in sizes:
        chance[size:], chance[:size] = (chance[size:] + chance[:-size]) / 2, chance[:size] / 2
    return min(1.0, float(chance[sum(change for change in changes if change > 0) :].sum()))


def fall_p_value(before: Sequence[float], now: Sequence[float]) -> float:
    """Return the chance of so low a sum now, if the values had been dealt to the two groups at random."""
    values = _on_grid([*before, *now], anchored=False)
    dealt = len(now)
    # chance[k, s]: ways to choose k of the values seen so far with sum s, as shares of all ways, to keep numbers small.
    chance = np.zeros((dealt + 1, sum(values) + 1))
    chance[0, 0] = 1.0
    for seen, value in enumerate(values):
        left = len(values) - seen
        taking = (dealt - np.arange(dealt + 1))[:, None].clip(0, left) / left
        taken = chance * taking
        chance = chance * (1 - taking)
        chance[1:, value:] += taken[:-1, : chance.shape[1] - value]
    return min(1.0, float(chance[dealt, : sum(values[len(before) :]) + 1].sum()))


def together(p_values: Sequence[float]) -> float:
    """Return one p for two independent tests of the same suspicion (Fisher's method); that of a single one as it is."""
    if len(p_values) == 1:
        return p_values[0]
    first, second = p_values
    product = prod((first, second))
    return min(1.0, product * (1 - log(product))) if product > 0 else 0.0


def _on_grid(values: Sequence[float], *, anchored: bool) -> list[int]:
    """Put values on whole steps: from 0, where they are `anchored` there, else from the lowest."""
    lowest = 0.0 if anchored else min(values)
    widest = max((abs(value - lowest) for value in values), default=0.0)
    room = _MOST_SUMS / max(1, len(values)) / widest if widest else 1.0
    steps = next((one for one in _STEPS if one <= room), room)
    return [round((value - lowest) * steps) for value in values]
