"""Switches single training sequences of a self-edit off; what is left is examined as a new candidate."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, SelectionList, Static
from textual.widgets.selection_list import Selection

from seal_console.console.dialogs.modal import SingleDismiss
from seal_console.console.error_boundary import ErrorBoundary
from seal_console.console.safe_content import safe, safe_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult


class SequencesDialog(ErrorBoundary, SingleDismiss[list[int] | None]):
    """Gives the places of the sequences that were switched off; None where nothing shall happen."""

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
        Binding("escape", "cancel", "Leave it", id="sequences.cancel"),
        Binding("ctrl+s", "confirm", "Examine what is left", id="sequences.confirm", priority=True),
    ]

    def __init__(self, title: str, sequences: Sequence[str]) -> None:
        super().__init__()
        self._title, self._sequences = title, sequences

    def compose(self) -> ComposeResult:
        """Every sequence with its switch."""
        with Vertical(id="box"):
            yield Static(safe_line(self._title, "bold"))
            yield Static(
                safe("space switches a sequence on or off; what stays on is trained and examined anew."), id="note"
            )
            yield SelectionList[int](
                *(
                    Selection(safe_line(sequence, limit=160), place, initial_state=True)
                    for place, sequence in enumerate(self._sequences)
                )
            )
            with Horizontal():
                yield Button("Leave it  esc", id="cancel", variant="primary")
                yield Button("Examine what is left  ctrl+s", id="confirm")

    def on_mount(self) -> None:
        """Begin in the list."""
        self.query_one(SelectionList).focus()

    @on(Button.Pressed, "#cancel")
    def action_cancel(self) -> None:
        """Change nothing."""
        self.dismiss(None)

    @on(Button.Pressed, "#confirm")
    def action_confirm(self) -> None:
        """Give what was switched off; all on or all off is nothing to examine."""
        on_places = set(self.query_one(SelectionList).selected)
        off = [place for place in range(len(self._sequences)) if place not in on_places]
        if not on_places:
            self.query_one("#note", Static).update(safe("One sequence at least must stay on.", "$text-error"))
            return
        self.dismiss(off or None)
