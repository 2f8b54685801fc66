"""Edits the text of a self-edit in place; the changed text is examined as a new candidate, the old one stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, SelectionList, Static, TextArea
from textual.widgets.selection_list import Selection

from seal_console.console.content import safe, safe_line
from seal_console.console.dialogs.modal import SingleDismiss
from seal_console.console.runtime import ErrorBoundary
from store.sanitize import sanitize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult


class EditDialog(ErrorBoundary, SingleDismiss[str | None]):
    """Returns the changed text, or None if it was cancelled or not changed."""

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
        Binding("escape", "cancel", "Cancel", id="edit.cancel", priority=True),
        Binding("ctrl+s", "confirm", "Evaluate it", id="edit.confirm", priority=True),
    ]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title, self._text = title, sanitize(text)
        self._signs = self._text != text

    def compose(self) -> ComposeResult:
        """Lay out the text and the explanation."""
        with Vertical(id="box"):
            yield Static(safe_line(self._title, "bold"))
            note = "The engine trains and evaluates the changed text as a new candidate; the old one is kept."
            if self._signs:
                note += " Control characters of the original are replaced by signs."
            yield Static(safe(note), id="note")
            yield TextArea(self._text, show_line_numbers=True, soft_wrap=True)
            with Horizontal():
                yield Button("Cancel  esc", id="cancel", variant="primary")
                yield Button("Evaluate it  ctrl+s", id="confirm")

    def on_mount(self) -> None:
        """Begin in the text."""
        self.query_one(TextArea).focus()

    @on(TextArea.Changed)
    def cleaned(self, event: TextArea.Changed) -> None:
        """Replace control characters in pasted text by visible signs."""
        clean = sanitize(event.text_area.text)
        if clean != event.text_area.text:
            event.text_area.text = clean

    @on(Button.Pressed, "#cancel")
    def action_cancel(self) -> None:
        """Change nothing."""
        self.dismiss(None)

    @on(Button.Pressed, "#confirm")
    def action_confirm(self) -> None:
        """Return the changed text."""
        text = self.query_one(TextArea).text
        self.dismiss(None if text == self._text else text)


class SequencesDialog(ErrorBoundary, SingleDismiss[list[int] | None]):
    """Returns the places of the sequences to leave out, or None if cancelled or unchanged."""

    DEFAULT_CSS = """
    SequencesDialog { align: center middle; }
    SequencesDialog #box {
        width: 110; max-width: 96%; height: auto; max-height: 94%; padding: 0 1; border: round $primary;
        background: $surface;
    }
    SequencesDialog SelectionList { height: auto; max-height: 24; margin-top: 1; }
    SequencesDialog #note { color: $text-muted; height: auto; }
    SequencesDialog Horizontal { height: auto; align-horizontal: right; }
    SequencesDialog Button { margin-left: 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", id="sequences.cancel"),
        Binding("ctrl+s", "confirm", "Evaluate the rest", id="sequences.confirm", priority=True),
    ]

    def __init__(self, title: str, sequences: Sequence[str]) -> None:
        super().__init__()
        self._title, self._sequences = title, sequences

    def compose(self) -> ComposeResult:
        """Every sequence with its switch."""
        with Vertical(id="box"):
            yield Static(safe_line(self._title, "bold"))
            yield Static(
                safe("space switches a sequence on or off; the rest is trained and evaluated as a new candidate."),
                id="note",
            )
            yield SelectionList[int](
                *(
                    Selection(safe_line(sequence, limit=160), place, initial_state=True)
                    for place, sequence in enumerate(self._sequences)
                )
            )
            with Horizontal():
                yield Button("Cancel  esc", id="cancel", variant="primary")
                yield Button("Evaluate the rest  ctrl+s", id="confirm")

    def on_mount(self) -> None:
        """Begin in the list."""
        self.query_one(SelectionList).focus()

    @on(Button.Pressed, "#cancel")
    def action_cancel(self) -> None:
        """Change nothing."""
        self.dismiss(None)

    @on(Button.Pressed, "#confirm")
    def action_confirm(self) -> None:
        """Return the places to leave out; at least one sequence must stay."""
        on_places = set(self.query_one(SelectionList).selected)
        off = [place for place in range(len(self._sequences)) if place not in on_places]
        if not on_places:
            self.query_one("#note", Static).update(safe("At least one sequence must stay on.", "$text-error"))
            return
        self.dismiss(off or None)
