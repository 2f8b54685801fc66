"""The last line of every screen: the keys that work here. Each can be clicked.

One widget that draws one line: Textual's own footer makes a widget of each key, and styling those takes a third of the
time of a change of screens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from seal_console.console.safe_content import joined

if TYPE_CHECKING:
    from textual import events
    from textual.binding import Binding
    from textual.screen import Screen


@dataclass(frozen=True, slots=True)
class _Place:
    first: int
    last: int
    key: str
    tip: str


class KeyBar(Static):
    """Follows the bindings of its screen; where not all fit, the last one is the key for help."""

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
        """Do what the key under the mouse does."""
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
            return  # the last: an app that closes empties its stack before the prepared screens are gone
        pieces, self._places = [], []
        at = 0
        for binding, piece in self._fitting(self._shown(screen)):
            tip = f"{binding.description}: {binding.tooltip}" if binding.tooltip else binding.description
            self._places.append(_Place(at, at + piece.cell_length, binding.key, tip))
            at += piece.cell_length
            pieces.append(piece)
        line = Content("").join(pieces)
        if not line.is_same(self._line):
            self._line = line
            self.update(line, layout=False)

    def _shown(self, screen: Screen[object]) -> list[tuple[Binding, Content]]:
        """One binding of each action, in the order in which they reach the focus."""
        by_action: dict[str, Binding] = {}
        for _, binding, enabled, _ in screen.active_bindings.values():
            if binding.show and enabled:
                by_action.setdefault(binding.action, binding)
        return [
            (
                binding,
                joined((f" {self.app.get_key_display(binding)} ", "bold $text-accent"), f"{binding.description} "),
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
