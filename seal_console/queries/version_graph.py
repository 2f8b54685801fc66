"""Draws which version came from which, one line for each, the newest first.

A line of descent keeps its lane. A version whose parent has a lane already joins it at once: `├─●`. Read downwards, a
lane leads to the parent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

NODE, LANE = "●", "│"


def draw_graph(parents: Mapping[int, int | None]) -> dict[int, str]:
    """Return each number's part of the graph. A parent's number is smaller; where it is not drawn, the lane ends."""
    lanes: list[int | None] = []
    drawn: dict[int, str] = {}
    for number in sorted(parents, reverse=True):
        place = _place(lanes, number)
        parent = parents[number]
        known = parent if parent in parents else None
        beside = lanes.index(known) if known is not None and known in lanes else None
        drawn[number] = _line(lanes, place, beside)
        lanes[place] = None if beside is not None else known
        while lanes and lanes[-1] is None:
            lanes.pop()
    return drawn


def _place(lanes: list[int | None], number: int) -> int:
    """Return the lane that waits for a number, else a free one, made where there is none."""
    for wanted in (number, None):
        if wanted in lanes:
            return lanes.index(wanted)
    lanes.append(None)
    return len(lanes) - 1


def _line(lanes: list[int | None], place: int, beside: int | None) -> str:
    first, last = (place, place) if beside is None else (min(place, beside), max(place, beside))
    line = ""
    for lane in range(len(lanes)):
        taken = lanes[lane] is not None
        across = first < lane < last
        if lane == place:
            sign = NODE
        elif lane == beside:
            sign = "├" if beside < place else "┤"
        elif across:
            sign = "┼" if taken else "─"
        else:
            sign = LANE if taken else " "
        line += sign + ("─" if first <= lane < last else " ")
    return line.rstrip()
