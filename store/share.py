"""A share that was counted, such as an accuracy, with how sure it is."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Share:
    """So many right answers out of so many, given on a number of independent units, such as tasks.

    Answers after one inner update are right or wrong together, so the uncertainty counts the units, not the answers.
    """

    right: int
    answers: int
    units: int

    @property
    def value(self) -> float:
        """The share, 0 … 1."""
        return self.right / self.answers

    def in_words(self) -> str:
        """Return the share for a sentence: "12 of 39 (31 %, 95 % interval 18–46 %)"."""
        low, high = self.interval()
        percent, lowest, highest = (round(100 * share) for share in (self.value, low, high))
        return f"{self.right:,} of {self.answers:,} ({percent} %, 95 % interval {lowest}–{highest} %)"

    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval of the share over all units that might have been drawn.

        Wilson's for the number of units, which is wider than needed if a unit is partly right (Wilson 1927).
        """
        return wilson_interval(self.value, self.units, NormalDist().inv_cdf((1 + _CONFIDENCE) / 2))


def wilson_interval(share: float, of: int, z: float) -> tuple[float, float]:
    """Return Wilson's interval for a share of `of` trials; `z` is the normal quantile of its confidence."""
    if of == 0:
        return 0.0, 1.0
    square = z * z / of
    middle = share + square / 2
    spread = z * sqrt(share * (1 - share) / of + square / (4 * of))
    low, high = (middle - spread) / (1 + square), (middle + spread) / (1 + square)
    return 0.0 if share <= 0 else low, 1.0 if share >= 1 else high  # exactly, whatever rounding makes of them
