"""Chooses one of several names; the current value can be saved under a new name."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from seal_console.console.content import assemble, safe, safe_line
from seal_console.console.dialogs.modal import SingleDismiss
from seal_console.console.runtime import ErrorBoundary
from seal_console.console.widgets.inputs import SafeInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

_SHORT = 40  # the field below must stay in view on a small screen
Choice = tuple[Literal["use", "save", "delete"], str]


class ChooseDialog(ErrorBoundary, SingleDismiss[Choice | None]):
    """Returns an action and the name that it is for."""

    DEFAULT_CSS = """
    ChooseDialog { align: center middle; }
    ChooseDialog #box {
        width: 80; max-width: 96%; height: auto; max-height: 90%; padding: 0 1; border: round $primary;
        background: $surface;
    }
    ChooseDialog OptionList { height: auto; max-height: 50vh; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Close", id="choose.cancel"),
        Binding("delete", "delete", "Delete the name", id="choose.delete"),
    ]

    def __init__(self, title: str, choices: Sequence[tuple[str, str]], *, new: str) -> None:
        super().__init__()
        self._title, self._choices, self._new = title, choices, new

    def compose(self) -> ComposeResult:
        """The names, and a field for a new one."""
        with Vertical(id="box"):
            yield Static(safe_line(self._title, "bold"))
            yield OptionList(
                *(
                    Option(assemble(safe_line(name, "bold"), (f"   {text}", "$text-muted")))
                    for name, text in self._choices
                )
            )
            if self._new:
                yield Static(assemble("Save the current filter, ", safe_line(self._new, limit=_SHORT), ", as:"))
                yield SafeInput(placeholder="a name, then enter", id="name")
            yield Static(safe("enter applies · delete deletes · esc closes", "$text-muted"))

    def on_mount(self) -> None:
        """Focus the list, or the field if there is nothing to choose from."""
        (self.query_one(OptionList) if self._choices or not self._new else self.query_one(Input)).focus()

    @on(OptionList.OptionSelected)
    def chosen(self, event: OptionList.OptionSelected) -> None:
        """Use this one."""
        self.dismiss(("use", self._choices[event.option_index][0]))

    @on(Input.Submitted)
    def named(self, event: Input.Submitted) -> None:
        """Save under this name."""
        if event.value.strip():
            self.dismiss(("save", event.value.strip()))

    def action_delete(self) -> None:
        """Forget the name under the cursor."""
        place = self.query_one(OptionList).highlighted
        if place is not None:
            self.dismiss(("delete", self._choices[place][0]))

    def action_cancel(self) -> None:
        """Do nothing."""
        self.dismiss(None)
