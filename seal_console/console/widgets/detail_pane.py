"""A pane with the text about the row under the cursor, scrolled by the keys that move in tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seal_console.console.widgets.long_text import LongText

if TYPE_CHECKING:
    from collections.abc import Hashable

    from textual.content import Content


class DetailPane(LongText):
    """`show` gives it its text; it goes back to the top only where the text is about something else."""

    DEFAULT_CSS = """
    DetailPane { scrollbar-size-vertical: 1; }
    """

    def __init__(self, title: str, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id, classes="panel")
        self.border_title = title
        self._about: Hashable = None

    def show(self, text: Content, about: Hashable) -> None:
        """Show a text about something."""
        self.put([text])
        if about != self._about:
            self._about = about
            self.scroll_home(animate=False)
