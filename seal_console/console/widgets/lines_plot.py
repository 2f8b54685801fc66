"""A few named lines over versions or rounds, as a plot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from textual.color import Color
from textual_plotext import PlotextPlot

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    """`show` gives it its lines; each is told from the others by its sign as well as its colour."""

    DEFAULT_CSS = "LinesPlot { background: $surface; }"

    def __init__(self, title: str, empty: str, *, id: str | None = None) -> None:  # noqa: A002 - as in Textual
        super().__init__(id=id, classes="panel")
        self.border_title = title
        self._empty = empty
        self._lines: Sequence[PlotLine] = ()

    def on_mount(self) -> None:
        """Follow the theme: what is drawn is in its colours."""
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
