"""A pane with the text about the row under the cursor, scrolled by the keys that move in tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

if TYPE_CHECKING:
    from collections.abc import Hashable

    from textual.app import ComposeResult
    from textual.content import Content


class DetailPane(VerticalScroll):
    """`show` gives it its text; it goes back to the top only where the text is about something else."""

    DEFAULT_CSS = """
    DetailPane { scrollbar-size-vertical: 1; }
    DetailPane > Static { width: 1fr; height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "Scroll down", show=False),
        Binding("k", "scroll_up", "Scroll up", show=False),
        Binding("g", "scroll_home", "Top", show=False),
        Binding("G", "scroll_end", "Bottom", show=False),
    ]

    def __init__(self, title: str, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id, classes="panel")
        self.border_title = title
        self.text: Content | None = None
        self._about: Hashable = None

    def compose(self) -> ComposeResult:
        """One text."""
        yield Static("")

    def show(self, text: Content, about: Hashable) -> None:
        """Show a text about something."""
        self.text = text
        self.query_one(Static).update(text)
        if about != self._about:
            self._about = about
            self.scroll_home(animate=False)
