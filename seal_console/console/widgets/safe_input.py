"""A field of one line that never draws a control character, whatever is put or pasted into it."""

from __future__ import annotations

from textual.widgets import Input

from store.sanitize import sanitize_line


class SafeInput(Input):
    """Control and direction characters become visible signs before the field holds them, and stay signs."""

    def validate_value(self, value: str) -> str:
        """Called by Textual with each new value."""
        return sanitize_line(value)
