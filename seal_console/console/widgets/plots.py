"""A few named lines over versions or rounds, as a plot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from textual.color import Color
from textual_plotext import PlotextPlot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seal_console.queries.now import RoundPoint


_MOST_TICKS = 12


@dataclass(frozen=True, slots=True)
class PlotLine:
    """Values at places; `sign` marks its points and its name, `tone` is a colour of the theme."""

    name: str
    sign: str
    tone: str
    points: tuple[tuple[float, float], ...]
    joined: bool = True


class LinesPlot(PlotextPlot):  # type: ignore[misc, unused-ignore]
    """Named lines over versions or rounds; each has its own sign and colour. `show` sets them."""

    DEFAULT_CSS = "LinesPlot { background: $surface; }"

    def __init__(self, title: str, empty: str, *, id: str | None = None) -> None:  # noqa: A002 - as in Textual
        super().__init__(id=id, classes="panel")
        self.border_title = title
        self._empty = empty
        self._lines: Sequence[PlotLine] = ()

    def on_mount(self) -> None:
        """Follow the theme's colours."""
        self.app.theme_changed_signal.subscribe(self, lambda _: self._draw())

    def show(self, lines: Sequence[PlotLine]) -> None:
        """Draw these lines; those without a point are left out."""
        self._lines = [line for line in lines if line.points]
        self._draw()

    def _draw(self) -> None:
        plot: Any = self.plt
        plot.clear_figure()
        if not self._lines:
            plot.title(self._empty)
            plot.frame(frame=False)
        for line in self._lines:
            xs, ys = zip(*line.points, strict=True)
            colour = Color.parse(self.app.theme_variables[line.tone]).rgb
            label = f"{line.sign} {line.name}"
            if line.joined and len(xs) > 1:
                plot.plot(xs, ys, marker="braille", color=colour)
            plot.scatter(xs, ys, marker=line.sign, color=colour, label=label)
        places = sorted({x for line in self._lines for x, _ in line.points})
        if places:
            plot.xticks(places if len(places) <= _MOST_TICKS else [places[0], places[len(places) // 2], places[-1]])
        self.refresh()


class RoundsPlot(PlotextPlot):  # type: ignore[misc, unused-ignore]
    """Mean reward of each round, and the accuracy on held-out tasks after its policy training."""

    DEFAULT_CSS = "RoundsPlot { background: $surface; }"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self.border_title = "Reward over rounds"
        self._points: list[RoundPoint] | None = None

    def on_mount(self) -> None:
        """Follow the theme's colours."""
        self.app.theme_changed_signal.subscribe(self, lambda _: self._draw())

    def show(self, points: Sequence[RoundPoint]) -> None:
        """Draw these rounds if they differ: a plot takes as long as the rest of a screen."""
        if list(points) != self._points:
            self._points = list(points)
            self._draw()

    def _draw(self) -> None:
        plot: Any = self.plt
        plot.clear_figure()
        measured = [one for one in self._points or () if one.mean_reward is not None]
        if not measured:
            plot.title("no round measured yet")
        else:
            numbers = [one.number for one in measured]
            rewards = [one.mean_reward or 0.0 for one in measured]
            of_mean, of_exam = self._colour("text-accent"), self._colour("text-success")
            plot.plot(numbers, rewards, marker="braille", color=of_mean, label="● mean reward")
            plot.scatter(numbers, rewards, marker="●", color=of_mean)
            held = [(one.number, one.held_out_after) for one in measured if one.held_out_after is not None]
            if held:
                rounds, exams = zip(*held, strict=True)
                plot.scatter(rounds, exams, marker="◆", color=of_exam, label="◆ held-out accuracy after")
            plot.xticks(numbers)
            plot.ylim(min(0.0, *rewards), 1.0)
        self.refresh()

    def _colour(self, name: str) -> tuple[int, int, int]:
        return Color.parse(self.app.theme_variables[name]).rgb
