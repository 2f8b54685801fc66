"""What dialogs share: each is closed once, and the key that quits the console works in it too.

A second key that comes while a dialog closes is too late, and closes nothing else. Textual asks a modal screen's keys
only, not the application's.
"""

from __future__ import annotations

from typing import ClassVar, TypeVar

from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

T = TypeVar("T")


class SingleDismiss(ModalScreen[T]):
    """A screen over another one. Textual's own takes whichever screen is on top away, or fails where none is left."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+q", "app.quit", "Quit", show=False, id="quit")]

    def dismiss(self, result: T | None = None) -> AwaitComplete:
        """Close, and give the result; does nothing where this screen is not on top any more."""
        return super().dismiss(result) if self.is_active else AwaitComplete()
