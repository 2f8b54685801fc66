"""Common base of dialogs: each closes once, and the key that quits the console works in them too.

A second key that arrives while a dialog closes is ignored. Textual checks only a modal screen's own keys, not the
application's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeVar

from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from seal_console.console.content import safe_line

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.content import Content


T = TypeVar("T")


class SingleDismiss(ModalScreen[T]):
    """A modal screen. Textual's own closes whichever screen is on top, or fails if none is left."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+q", "app.quit", "Quit", show=False, id="quit")]

    def dismiss(self, result: T | None = None) -> AwaitComplete:
        """Close and return the result; do nothing if this screen is no longer on top."""
        return super().dismiss(result) if self.is_active else AwaitComplete()


class TextDialog(SingleDismiss[None]):
    """A title and a text that scrolls; Escape, q or Enter closes it."""

    DEFAULT_CSS = """
    TextDialog { align: center middle; }
    TextDialog #box {
        width: 100; max-width: 96%; height: auto; max-height: 94%; padding: 0 2; border: round $primary;
        background: $surface;
    }
    TextDialog #title { text-style: bold; margin-bottom: 1; }
    TextDialog #body { height: auto; max-height: 100%; }
    TextDialog #hint { color: $text-muted; margin-top: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter,question_mark,f1", "dismiss", "Close", id="text.close"),
        Binding("j", "scroll(1)", "Down", show=False),
        Binding("k", "scroll(-1)", "Up", show=False),
    ]

    def __init__(self, title: str, body: Content) -> None:
        super().__init__()
        self._title, self._body = title, body

    def compose(self) -> ComposeResult:
        """The title, the text, and how to leave."""
        with Vertical(id="box"):
            yield Static(safe_line(self._title), id="title")
            with VerticalScroll(id="body"):
                yield Static(self._body)
            yield Static("esc closes · arrows scroll", id="hint")

    def on_mount(self) -> None:
        """Let the keys scroll the text."""
        self.query_one("#body").focus()

    def action_scroll(self, by: int) -> None:
        """Scroll by lines."""
        self.query_one("#body").scroll_relative(y=by, animate=False)


class FailureDialog(TextDialog):
    """Reports an unexpected failure."""
