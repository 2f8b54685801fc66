"""Opens the operator console on a workspace."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from engine.settings.reading import load_settings
from seal_console.console import gc_tuning as garbage
from store.lock import current_user

if TYPE_CHECKING:
    from store.workspace import Workspace


def on_a_terminal() -> bool:
    """Whether there is a terminal to draw on."""
    if os.environ.get("TEXTUAL_DRIVER"):  # textual-serve draws in a browser
        return True
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def open_console(workspace: Workspace, *, read_only: bool, actor: str | None, first_screen: str = "now") -> None:
    """Run the console until the operator leaves. Raises WrongUseError for settings that cannot be read."""
    garbage.hold_back()
    from seal_console.console.app import ConsoleApp  # noqa: PLC0415 - Textual is loaded only where it draws
    from seal_console.start_engine import start_engine  # noqa: PLC0415

    settings = load_settings(workspace.settings_file)
    app = ConsoleApp(
        workspace, settings, actor=actor or current_user(), read_only=read_only, start_engine=start_engine,
        first_screen=first_screen,
    )  # fmt: skip
    app.run()
    if app.failure is not None:
        raise app.failure
