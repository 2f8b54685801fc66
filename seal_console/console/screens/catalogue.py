"""The screens of the console, listed once: number keys and modes follow from this list.

A screen's module is loaded when the screen is first opened, or in the background once the first screen is painted.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from textual.binding import Binding

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.screen import Screen

SCREEN_CLASSES = {
    "now": "NowScreen",
    "review": "ReviewScreen",
    "versions": "VersionsScreen",
    "rounds": "RoundsScreen",
    "tasks": "TasksScreen",
    "log": "LogScreen",
    "retention": "RetentionScreen",
}


def load_screen(name: str) -> None:
    """Load a screen's module, so that switching to it is instant."""
    import_module(f"seal_console.console.screens.{name}")


def _make(name: str) -> Screen[Any]:
    screen: Screen[Any] = getattr(import_module(f"seal_console.console.screens.{name}"), SCREEN_CLASSES[name])()
    return screen


MODES: dict[str, str | Callable[[], Screen[Any]]] = {name: partial(_make, name) for name in SCREEN_CLASSES}
NUMBER_KEYS = [
    Binding(str(number), f"go('{name}')", name.capitalize(), show=False, id=f"go.{name}")
    for number, name in enumerate(SCREEN_CLASSES, 1)
]
