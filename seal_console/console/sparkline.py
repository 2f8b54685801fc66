"""A curve in one line of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_LEVELS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int) -> str:
    """Draw values as blocks, at most `width` of them; each block is the mean of its share of the values."""
    if not values or width < 1:
        return ""
    count = min(width, len(values))
    means = []
    for place in range(count):
        first, last = place * len(values) // count, (place + 1) * len(values) // count
        part = values[first:last]
        means.append(sum(part) / len(part))
    low, high = min(means), max(means)
    span = (high - low) or 1.0
    return "".join(_LEVELS[round((len(_LEVELS) - 1) * (mean - low) / span)] for mean in means)


def share_bar(share: float, width: int) -> str:
    """Draw a share (0 … 1) as a bar."""
    filled = round(width * min(max(share, 0.0), 1.0))
    return "█" * filled + "░" * (width - filled)


def seconds_in_words(seconds: float) -> str:
    """Say a time that is left: 45 s, 3 min, 2 h 5 min."""
    whole = round(seconds)
    if whole < 90:  # noqa: PLR2004 - below, seconds say more than minutes
        return f"{whole} s"
    minutes = round(whole / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"  # noqa: PLR2004
