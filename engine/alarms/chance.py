"""Statistics of the alarms: a bound on a share, and exact tests of whether figures by task fell between two rounds.

They count tasks, not answers: answers after one inner update are right or wrong together, so counting them would claim
far more evidence than there is. Values are put on a grid first, so that every permutation can be counted; that costs
the tests a little power and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, prod
from statistics import NormalDist, mean
from typing import TYPE_CHECKING

import numpy as np

from engine.gates.retention import paired_p_value
from store.share import wilson_interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Steps of the grid in one unit, the finest that fits: shares of 2, 3, 4, 5, 6, 10 and 12 answers lie on the first one.
_STEPS = (60, 20, 10, 5, 2, 1)
_MOST_SUMS = 4000  # steps over all tasks together


@dataclass(frozen=True, slots=True)
class Fall:
    """A figure by task in two rounds: its means, the test's p-value, the number of tasks, and whether they are the
    same.
    """

    before: float
    now: float
    p_value: float
    tasks: int
    same_tasks: bool

    @property
    def by(self) -> float:
        """How far the mean fell; below 0 if it rose."""
        return self.before - self.now


def least_share(count: int, of: int, significance: float) -> float:
    """Return the lower end of Wilson's interval for a share (Wilson 1927), one-sided; 0 if nothing was counted."""
    return wilson_interval(count / of, of, NormalDist().inv_cdf(1 - significance))[0] if of else 0.0


def fall(before: Mapping[str, float], now: Mapping[str, float]) -> Fall | None:
    """Compare a figure by task in an earlier round and this one; None if a round has no such figure.

    If at least half of the tasks of the smaller round are in both, each of these is compared with itself, else the two
    groups are compared. Both are one-sided permutation tests (Fisher 1935, Pitman 1937): a low p indicates a fall.
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
    """Compare as `fall` does, for a rise: `by` is below 0 and a low p indicates it."""
    negated = fall({task: -value for task, value in before.items()}, {task: -value for task, value in now.items()})
    return negated and Fall(-negated.before, -negated.now, negated.p_value, negated.tasks, negated.same_tasks)


def paired_fall_p_value(before: Sequence[float], now: Sequence[float]) -> float:
    """Return the probability of such a fall of the sum if the two values of each pair were swapped at random."""
    changes = _on_grid([one - other for one, other in zip(before, now, strict=True)], anchored=True)
    sizes = [abs(change) for change in changes if change]
    if len(set(sizes)) <= 1:  # all changes weigh the same: the sign test, in whole numbers
        return paired_p_value(sum(change > 0 for change in changes), sum(change < 0 for change in changes))
    # chance[s]: the probability that the changes that are falls sum up to s.
    chance = np.zeros(sum(sizes) + 1)
    chance[0] = 1.0
    for size in sizes:
        chance[size:], chance[:size] = (chance[size:] + chance[:-size]) / 2, chance[:size] / 2
    return min(1.0, float(chance[sum(change for change in changes if change > 0) :].sum()))


def fall_p_value(before: Sequence[float], now: Sequence[float]) -> float:
    """Return the probability of such a low sum now if the values were assigned to the two groups at random."""
    values = _on_grid([*before, *now], anchored=False)
    drawn = len(now)
    # chance[k, s]: ways to choose k of the values seen so far with sum s, as shares of all ways to keep numbers small.
    chance = np.zeros((drawn + 1, sum(values) + 1))
    chance[0, 0] = 1.0
    for seen, value in enumerate(values):
        left = len(values) - seen
        taking = (drawn - np.arange(drawn + 1))[:, None].clip(0, left) / left
        taken = chance * taking
        chance = chance * (1 - taking)
        chance[1:, value:] += taken[:-1, : chance.shape[1] - value]
    return min(1.0, float(chance[drawn, : sum(values[len(before) :]) + 1].sum()))


def combined_p_value(p_values: Sequence[float]) -> float:
    """Combine the p-values of one or two independent tests of the same suspicion (Fisher's method)."""
    if len(p_values) == 1:
        return p_values[0]
    first, second = p_values
    product = prod((first, second))
    return min(1.0, product * (1 - log(product))) if product > 0 else 0.0


def _on_grid(values: Sequence[float], *, anchored: bool) -> list[int]:
    """Put values on whole steps: from 0 if they are `anchored` there, else from the lowest."""
    lowest = 0.0 if anchored else min(values)
    widest = max((abs(value - lowest) for value in values), default=0.0)
    room = _MOST_SUMS / max(1, len(values)) / widest if widest else 1.0
    steps = next((one for one in _STEPS if one <= room), room)
    return [round((value - lowest) * steps) for value in values]
