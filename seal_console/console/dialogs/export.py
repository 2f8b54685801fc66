"""Asks for the path of an export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, Static

from seal_console.console.content import assemble, lines, safe_line
from seal_console.console.dialogs.modal import SingleDismiss
from seal_console.console.runtime import ErrorBoundary
from seal_console.console.widgets.inputs import SafeInput
from store.sanitize import sanitize_line

if TYPE_CHECKING:
    from textual.app import ComposeResult


class ExportDialog(ErrorBoundary, SingleDismiss[Path | None]):
    """Returns the path, or None if cancelled. A relative path is in the current folder.

    With `only_into`, it asks for the name of a file in that folder, and returns what was typed.
    """

    DEFAULT_CSS = """
    ExportDialog { align: center middle; }
    ExportDialog #box {
        width: 90; max-width: 96%; height: auto; padding: 0 2; border: round $primary; background: $surface;
    }
    ExportDialog #title { text-style: bold; margin-bottom: 1; }
    ExportDialog #hint { margin: 1 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Cancel", id="export.cancel")]

    def __init__(self, what: str, suggested: Path, *, only_into: Path | None = None) -> None:
        super().__init__()
        self._what, self._only_into = what, only_into
        self._suggested = suggested if only_into is None else Path(suggested.name)
        self._shown = sanitize_line(str(self._suggested))

    def compose(self) -> ComposeResult:
        """Lay out title, path and key descriptions."""
        where = (
            ("a relative path is in ", str(Path.cwd())) if self._only_into is None else ("in ", str(self._only_into))
        )
        with Vertical(id="box"):
            yield Static(safe_line(f"Export {self._what}"), id="title")
            yield SafeInput(self._shown, id="path", select_on_focus=False)
            yield Static(
                lines(
                    assemble(("the ending decides: ", "$text-muted"), ".csv", (" or ", "$text-muted"), ".json"),
                    assemble((where[0], "$text-muted"), safe_line(where[1])),
                    assemble(("enter", "$text-accent"), " writes it   ", ("esc", "$text-accent"), " cancels"),
                ),
                id="hint",
            )

    def on_mount(self) -> None:
        """Let the path be typed."""
        self.query_one("#path", Input).focus()

    @on(Input.Submitted)
    def write(self, event: Input.Submitted) -> None:
        """Take the path."""
        typed = event.value.strip()
        if typed == self._shown.strip():
            self.dismiss(self._suggested)
        else:
            self.dismiss(self._path(typed) if typed else None)

    def _path(self, typed: str) -> Path:
        return Path(typed).expanduser().absolute() if self._only_into is None else Path(typed)

    def action_cancel(self) -> None:
        """Write nothing."""
        self.dismiss(None)
