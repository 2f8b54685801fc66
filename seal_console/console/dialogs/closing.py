"""A dialog is closed once: a second key that comes while it closes is too late, and closes nothing else."""

from __future__ import annotations

from typing import TypeVar

from textual.await_complete import AwaitComplete
from textual.screen import ModalScreen

T = TypeVar("T")


class ClosesOnce(ModalScreen[T]):
    """A screen over another one. Textual's own takes whichever screen is on top away, or fails where none is left."""

    def dismiss(self, result: T | None = None) -> AwaitComplete:
        """Close, and give the result; does nothing where this screen is not on top any more."""
        return super().dismiss(result) if self.is_active else AwaitComplete()
