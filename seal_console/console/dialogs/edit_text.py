"""Edits the text of a self-edit in place; the changed text is examined as a new candidate, the old one stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Static, TextArea

from seal_console.console.dialogs.modal import SingleDismiss
from seal_console.console.error_boundary import ErrorBoundary
from seal_console.console.safe_content import safe, safe_line
from store.sanitize import sanitize

if TYPE_CHECKING:
    from textual.app import ComposeResult


class EditDialog(ErrorBoundary, SingleDismiss[str | None]):
    """Gives the changed text, None where nothing shall happen or nothing was changed."""

    DEFAULT_CSS = """
    EditDialog { align: center middle; }
    EditDialog #box {
        width: 100; max-width: 96%; height: 90%; padding: 0 1; border: round $primary; background: $surface;
    }
    EditDialog TextArea { height: 1fr; margin-top: 1; }
    EditDialog #note { color: $text-muted; }
    EditDialog Horizontal { height: auto; align-horizontal: right; }
    EditDialog Button { margin-left: 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Leave it", id="edit.cancel", priority=True),
        Binding("ctrl+s", "confirm", "Examine it", id="edit.confirm", priority=True),
    ]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title, self._text = title, sanitize(text)
        self._signs = self._text != text

    def compose(self) -> ComposeResult:
        """The text and what will happen to it."""
        with Vertical(id="box"):
            yield Static(safe_line(self._title, "bold"))
            note = "The engine trains and examines the changed text as a new candidate; the old one stays as it is."
            if self._signs:
                note += " Control characters of the original are shown as signs, and stay signs."
            yield Static(safe(note), id="note")
            yield TextArea(self._text, show_line_numbers=True, soft_wrap=True)
            with Horizontal():
                yield Button("Leave it  esc", id="cancel", variant="primary")
                yield Button("Examine it  ctrl+s", id="confirm")

    def on_mount(self) -> None:
        """Begin in the text."""
        self.query_one(TextArea).focus()

    @on(TextArea.Changed)
    def cleaned(self, event: TextArea.Changed) -> None:
        """What is pasted may hold control characters: they become signs."""
        clean = sanitize(event.text_area.text)
        if clean != event.text_area.text:
            event.text_area.text = clean

    @on(Button.Pressed, "#cancel")
    def action_cancel(self) -> None:
        """Change nothing."""
        self.dismiss(None)

    @on(Button.Pressed, "#confirm")
    def action_confirm(self) -> None:
        """Give the changed text."""
        text = self.query_one(TextArea).text
        self.dismiss(None if text == self._text else text)
