"""Which screens there are. Each is loaded when it is looked at, or in the background once the first is painted."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.screen import Screen

CLASSES = {
    "now": "NowScreen",
    "review": "ReviewScreen",
    "versions": "VersionsScreen",
    "rounds": "RoundsScreen",
    "tasks": "TasksScreen",
    "log": "LogScreen",
    "retention": "RetentionScreen",
}


def _make(name: str) -> Screen[Any]:
    screen: Screen[Any] = getattr(import_module(f"seal_console.console.screens.{name}"), CLASSES[name])()
    return screen


def load_screen(name: str) -> None:
    """Load a screen, so that it has not to be waited for."""
    import_module(f"seal_console.console.screens.{name}")


MODES: dict[str, str | Callable[[], Screen[Any]]] = {name: partial(_make, name) for name in CLASSES}
