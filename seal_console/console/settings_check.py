"""Checks what the section `console` of seal.yaml names: a theme, actions and keys that Textual knows."""

from __future__ import annotations

import re
import unicodedata
from importlib import import_module
from inspect import getmembers, isclass
from typing import TYPE_CHECKING

from textual.binding import Binding
from textual.keys import Keys
from textual.theme import BUILTIN_THEMES

from seal_console.console.themes import THEMES
from store.wording import suggestion

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from engine.input_files.located_yaml import Path
    from engine.settings.sections import Settings

_WITH_KEYS = (
    "app", "screens.catalogue", "widgets.inputs", "widgets.paged_table", "widgets.heat_map", "dialogs.confirm",
    "dialogs.modal", "dialogs.edit", "dialogs.choose",
)  # fmt: skip
_MODIFIERS = re.compile(r"^(?:(?:ctrl|shift|alt|super|hyper|meta)\+)*")


def console_problems(settings: Settings) -> Iterator[tuple[Path, str]]:
    """Yield the problems of the section `console`, each with its path in the file."""
    themes = [theme.name for theme in THEMES] + sorted(BUILTIN_THEMES)
    theme = settings.console.theme
    if theme not in themes:
        yield ("console", "theme"), f"unknown theme '{theme}'; {suggestion(theme, themes)}"
    actions = _known_actions() if settings.console.keys else []
    for action, keys in settings.console.keys.items():
        place = ("console", "keys", action)
        if action not in actions:
            yield place, f"unknown action '{action}'; {suggestion(action, actions)}"
        for key in keys.split(","):
            if not _is_key(key.strip()):
                yield place, f"'{key}' is not a key; write it as in ctrl+a, f5, x or question_mark"


def _is_key(key: str) -> bool:
    name = _MODIFIERS.sub("", key)
    if len(name) == 1 or name in {one.value for one in Keys}:
        return True
    try:
        unicodedata.lookup(name.replace("_", " "))
    except KeyError:
        return False
    return True


def _known_actions() -> list[str]:
    """Return the name of every action with a key; this loads all screens."""
    from seal_console.console.screens.catalogue import SCREEN_CLASSES  # noqa: PLC0415

    names = [*_WITH_KEYS, *(f"screens.{name}" for name in SCREEN_CLASSES)]
    modules = [import_module(f"seal_console.console.{name}") for name in names]
    return sorted({action for module in modules for action in _actions_in(module)})


def _actions_in(module: ModuleType) -> Iterator[str]:
    for _, kind in getmembers(module, isclass):
        for binding in kind.__dict__.get("BINDINGS", []):
            if isinstance(binding, Binding) and binding.id:
                yield binding.id
