"""The first and the last line of every screen: screens, live version and engine; and the keys. Each can be clicked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from textual.content import Content
from textual.widgets import Static

from seal_console.console.content import assemble
from seal_console.console.screens.catalogue import SCREEN_CLASSES

if TYPE_CHECKING:
    from textual import events
    from textual.binding import Binding
    from textual.screen import Screen


_ROOMY = 100  # columns


class TopBar(Static):
    """One line; `show` sets its facts."""

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
        """Adapt the words to the width."""
        if self._said:
            self.show(**self._said)

    def show(self, *, waiting: int, live: str, engine: str, read_only: bool, name: str) -> None:
        """Show the live version, the engine and the number of waiting candidates."""
        self._said = {"waiting": waiting, "live": live, "engine": engine, "read_only": read_only, "name": name}
        narrow = self.app.size.width < _ROOMY
        pieces: list[Content] = []
        self._places, at = [], 0
        for number, screen in enumerate(SCREEN_CLASSES, 1):
            label = screen.capitalize() + (f"({waiting:,})" if screen == "review" and waiting else "")
            here = screen == self._current
            words = f" {label}" if narrow else f" {label} "
            piece = assemble((f" {number}", "$text-accent"), (words, "reverse bold" if here else ""))
            self._places.append((at, at + piece.cell_length, screen))
            at += piece.cell_length
            pieces.append(piece)
        state = assemble(
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


@dataclass(frozen=True, slots=True)
class _Place:
    first: int
    last: int
    key: str
    tip: str


class KeyBar(Static):
    """Follows the bindings of its screen; if they do not all fit, the last one is the key for help."""

    ALLOW_SELECT = False
    DEFAULT_CSS = """
    KeyBar { height: 1; dock: bottom; background: $panel; color: $foreground; text-wrap: nowrap; }
    """

    def __init__(self) -> None:
        super().__init__("")
        self._places: list[_Place] = []
        self._line = Content("")

    def on_mount(self) -> None:
        """Follow the bindings."""
        self.screen.bindings_updated_signal.subscribe(self, self._show)

    def on_resize(self) -> None:
        """Fit them into the new width."""
        self._show(self.screen)

    def on_click(self, event: events.Click) -> None:
        """Press the key under the mouse."""
        place = self._place_at(event.x)
        if place is not None:
            self.app.simulate_key(place.key)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Explain the key under the mouse."""
        place = self._place_at(event.x)
        self.tooltip = None if place is None else Content(place.tip)

    def _place_at(self, x: int) -> _Place | None:
        return next((place for place in self._places if place.first <= x < place.last), None)

    def _show(self, screen: Screen[object]) -> None:
        if screen is not self.screen or not self.size.width or not self.app.screen_stack:
            return  # the last: a closing app empties its stack before the prepared screens are gone
        pieces, self._places = [], []
        at = 0
        for binding, piece in self._fitting(self._key_pieces(screen)):
            tip = f"{binding.description}: {binding.tooltip}" if binding.tooltip else binding.description
            self._places.append(_Place(at, at + piece.cell_length, binding.key, tip))
            at += piece.cell_length
            pieces.append(piece)
        line = Content("").join(pieces)
        if not line.is_same(self._line):
            self._line = line
            self.update(line, layout=False)

    def _key_pieces(self, screen: Screen[object]) -> list[tuple[Binding, Content]]:
        """One binding of each action, in the order in which they reach the focus."""
        by_action: dict[str, Binding] = {}
        for _, binding, enabled, _ in screen.active_bindings.values():
            if binding.show and enabled:
                by_action.setdefault(binding.action, binding)
        return [
            (
                binding,
                assemble((f" {self.app.get_key_display(binding)} ", "bold $text-accent"), f"{binding.description} "),
            )
            for binding in by_action.values()
        ]

    def _fitting(self, shown: list[tuple[Binding, Content]]) -> list[tuple[Binding, Content]]:
        width = self.size.width
        if sum(piece.cell_length for _, piece in shown) <= width:
            return shown
        last = [one for one in shown if one[0].action == "help"]
        room = width - sum(piece.cell_length for _, piece in last)
        found = []
        for one in shown:
            if one in last:
                continue
            room -= one[1].cell_length
            if room < 0:
                break
            found.append(one)
        return [*found, *last]
