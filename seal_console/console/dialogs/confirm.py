"""Asks before something changes: explains the effect and takes a reason if one is required.

The focus is on the field for the reason or on the safe choice, which comes first; Escape is the safe choice. The key
that confirms, ctrl+s, is never the key that opened the dialog. The gravest actions require a typed word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Button, Input, Static

from seal_console.console.content import lines, safe, safe_line
from seal_console.console.dialogs.modal import SingleDismiss
from seal_console.console.runtime import ErrorBoundary
from seal_console.console.widgets.inputs import SafeInput

if TYPE_CHECKING:
    from textual.app import ComposeResult


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A question. `reason` is the placeholder of the reason's field, None for no field; `typed` must be typed to
    confirm.
    """

    title: str
    will_happen: tuple[str, ...]
    confirm: str
    cancel: str = "Cancel"
    reason: str | None = None
    reasons: tuple[str, ...] = ()
    typed: str | None = None
    grave: bool = False


class ConfirmDialog(ErrorBoundary, SingleDismiss[str | None]):
    """Returns the reason ("" if none was requested), or None if cancelled."""

    DEFAULT_CSS = """
    ConfirmDialog { align: center middle; }
    ConfirmDialog #box {
        width: 76; max-width: 96%; height: auto; max-height: 96%; padding: 0 2 1 2; border: round $primary;
        background: $surface;
    }
    ConfirmDialog.-grave #box { border: heavy $error; }
    ConfirmDialog #title { text-style: bold; margin-bottom: 1; }
    ConfirmDialog #what { height: auto; max-height: 12; }
    ConfirmDialog #problem { color: $text-error; height: auto; }
    ConfirmDialog Input { margin-top: 1; }
    ConfirmDialog Horizontal { height: auto; margin-top: 1; align-horizontal: right; }
    ConfirmDialog Button { margin-left: 2; }
    ConfirmDialog.-short #what { max-height: 8; }
    ConfirmDialog.-short #box { padding: 0 1; }
    ConfirmDialog.-short Input { border: none; height: 1; }
    """
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]  # noqa: RUF012 - as Textual declares it
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", id="dialog.cancel"),
        Binding("ctrl+s", "confirm", "Do it", id="dialog.confirm", priority=True),
        Binding("up", "earlier(1)", "Earlier reason", show=False),
        Binding("down", "earlier(-1)", "Later reason", show=False),
    ]

    def __init__(self, question: Confirmation) -> None:
        super().__init__()
        self._question = question
        self._place = -1
        self.set_class(question.grave, "-grave")

    def compose(self) -> ComposeResult:
        """Lay out the explanation, the fields, and the safe button first."""
        asked = self._question
        with Vertical(id="box"):
            yield Static(safe_line(asked.title), id="title")
            with VerticalScroll(id="what", can_focus=False):
                yield Static(lines(*(safe(line) for line in asked.will_happen)))
            if asked.typed is not None:
                yield SafeInput(placeholder=f"type {asked.typed} to confirm", id="typed")
            if asked.reason is not None:
                yield SafeInput(placeholder=asked.reason, id="reason")
            yield Static("", id="problem")
            with Horizontal():
                yield Button(f"{asked.cancel}  esc", id="cancel", variant="primary")
                yield Button(f"{asked.confirm}  ctrl+s", id="confirm", variant="error" if asked.grave else "default")

    def on_mount(self) -> None:
        """Focus the first field, else the safe button."""
        fields = list(self.query(Input))
        (fields[0] if fields else self.query_one("#cancel")).focus()

    @on(Button.Pressed, "#cancel")
    def action_cancel(self) -> None:
        """Change nothing."""
        self.dismiss(None)

    @on(Button.Pressed, "#confirm")
    def action_confirm(self) -> None:
        """Confirm if nothing is missing; otherwise show what is."""
        asked = self._question
        if asked.typed is not None and self.query_one("#typed", Input).value.strip() != asked.typed:
            self._missing("#typed", f"Type {asked.typed} to confirm.")
            return
        reason = ""
        if asked.reason is not None:
            reason = self.query_one("#reason", Input).value.strip()
            if not reason:
                self._missing("#reason", "A reason is required; it is kept with the decision.")
                return
        self.dismiss(reason)

    @on(Input.Submitted)
    def next_field(self) -> None:
        """Move from a field to the next one, and last to the safe button; Enter never confirms."""
        self.focus_next()

    def action_earlier(self, by: int) -> None:
        """Take an earlier reason into the field."""
        field = self.query("#reason")
        reasons = self._question.reasons
        if not field or not reasons:
            return
        self._place = max(-1, min(self._place + by, len(reasons) - 1))
        value = "" if self._place < 0 else reasons[self._place]
        box = field.only_one(Input)
        box.value = value
        box.cursor_position = len(value)

    def _missing(self, field: str, problem: str) -> None:
        self.query_one("#problem", Static).update(safe(problem))
        self.query_one(field).focus()
