"""The reward over rounds, as a plot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual_plotext import PlotextPlot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seal_console.reading.now import RoundPoint


class RoundsPlot(PlotextPlot):  # type: ignore[misc, unused-ignore]
    """Mean reward of each round's candidates, and the exam on held-out tasks after its policy training."""

    DEFAULT_CSS = "RoundsPlot { background: $surface; }"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self.border_title = "Reward over rounds"
        self._points: Sequence[RoundPoint] = ()

    def show(self, points: Sequence[RoundPoint]) -> None:
        """Draw these rounds."""
        self._points = points
        self._draw()

    def _draw(self) -> None:
        plot: Any = self.plt
        plot.clear_figure()
        measured = [one for one in self._points if one.mean_reward is not None]
        if not measured:
            plot.title("no round has been measured yet")
        else:
            numbers = [one.number for one in measured]
            rewards = [one.mean_reward or 0.0 for one in measured]
            plot.plot(numbers, rewards, marker="braille", label="● mean reward")
            plot.scatter(numbers, rewards, marker="●")
            held = [(one.number, one.held_out_after) for one in measured if one.held_out_after is not None]
            if held:
                plot.scatter([n for n, _ in held], [v for _, v in held], marker="◆", label="◆ held-out exam after")
            plot.xticks(numbers)
            plot.ylim(min(0.0, *rewards), 1.0)
        self.refresh()
