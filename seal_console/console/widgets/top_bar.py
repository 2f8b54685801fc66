"""The first line of every screen: the screens by number, what is live, what runs. Each name can be clicked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.content import Content
from textual.widgets import Static

from seal_console.console.safe_content import joined

if TYPE_CHECKING:
    from textual import events

_ROOMY = 100  # columns
NAMES = ("now", "review", "versions", "rounds", "tasks", "log", "retention")


class TopBar(Static):
    """One line; `show` gives it its facts."""

    DEFAULT_CSS = """
    TopBar { height: 1; dock: top; background: $panel; color: $foreground; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, current: str) -> None:
        super().__init__("")
        self._current = current
        self._line = Content("")
        self._places: list[tuple[int, int, str]] = []
        self._said: dict[str, Any] = {}

    def on_resize(self) -> None:
        """Say it in as many words as there is room for now."""
        if self._said:
            self.show(**self._said)

    def show(self, *, waiting: int, live: str, engine: str, read_only: bool, name: str) -> None:
        """Say what is live and what runs, and how many candidates wait."""
        self._said = {"waiting": waiting, "live": live, "engine": engine, "read_only": read_only, "name": name}
        narrow = self.app.size.width < _ROOMY
        pieces: list[Content] = []
        self._places, at = [], 0
        for number, screen in enumerate(NAMES, 1):
            label = screen.capitalize() + (f"({waiting:,})" if screen == "review" and waiting else "")
            here = screen == self._current
            words = f" {label}" if narrow else f" {label} "
            piece = joined((f" {number}", "$text-accent"), (words, "reverse bold" if here else ""))
            self._places.append((at, at + piece.cell_length, screen))
            at += piece.cell_length
            pieces.append(piece)
        state = joined(
            ("  READ-ONLY" if read_only else "", "$text-warning bold"),
            (" ◆ " if narrow else "  live ", "$text-muted"),
            (live.split(" ", maxsplit=1)[0] if narrow else live, "bold"),
            (" " if narrow else "  engine ", "$text-muted"), (engine, "bold"),
            ("" if narrow else f"  {name}", "$text-muted"),
        )  # fmt: skip
        line = Content("").join([*pieces, state])
        if not line.is_same(self._line):
            self._line = line
            self.update(line, layout=False)

    async def on_click(self, event: events.Click) -> None:
        """Go to the screen whose name was clicked."""
        for first, last, screen in self._places:
            if first <= event.x < last:
                await self.app.run_action(f"go('{screen}')")
