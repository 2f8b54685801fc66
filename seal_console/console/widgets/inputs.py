"""Text fields: one that never draws a control character, and the filter line above a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input, Static

from seal_console.console.content import safe_line
from store.sanitize import sanitize_line

if TYPE_CHECKING:
    from textual.app import ComposeResult


class SafeInput(Input):
    """Replaces control and direction characters by visible signs before the field stores them."""

    def validate_value(self, value: str) -> str:
        """Called by Textual with each new value."""
        return sanitize_line(value)


class FilterInput(SafeInput):
    """The filter's field; Escape returns to the table."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Back to the table", id="filter.leave")]

    def action_leave(self) -> None:
        """Return the focus to the table."""
        self.post_message(FilterBar.FilterClosed())


class FilterBar(Vertical):
    """A field for the filter, and the table's status."""

    DEFAULT_CSS = """
    FilterBar { height: auto; background: $panel; }
    FilterBar Horizontal { height: 1; }
    FilterBar #problem { display: none; height: auto; padding: 0 1; color: $text-error; }
    FilterBar.-wrong #problem { display: block; }
    FilterBar FilterInput {
        width: 1fr; height: 1; border: none; padding: 0 1; background: $panel;
    }
    FilterBar FilterInput:focus { border: none; background: $surface; }
    FilterBar #status { width: auto; max-width: 60%; padding: 0 1; color: $text-muted; text-wrap: nowrap; }
    """

    @dataclass
    class FilterChanged(Message):
        """The operator typed another filter and pressed Enter, or cleared it."""

        text: str

    @dataclass
    class FilterClosed(Message):
        """The operator wants to go back to the table."""

    def __init__(self, hint: str) -> None:
        super().__init__()
        self._hint = hint
        self._said = ("", False)

    def compose(self) -> ComposeResult:
        """Lay out field and status."""
        with Horizontal():
            yield FilterInput(placeholder=f"/ filter: {self._hint}", id="filter", select_on_focus=False)
            yield Static("", id="status")
        yield Static("", id="problem")

    @property
    def text(self) -> str:
        """The current filter."""
        return self.query_one(FilterInput).value

    def put(self, text: str) -> None:
        """Set the filter, as if it was typed."""
        self.query_one(FilterInput).value = text
        self.post_message(self.FilterChanged(text))

    def say(self, words: str, *, wrong: bool = False) -> None:
        """Show the number of rows, or the problem with the filter."""
        if (words, wrong) == self._said:
            return  # a new layout for the same words would slow down every key
        self._said = (words, wrong)
        self.set_class(wrong, "-wrong")
        self.query_one("#problem" if wrong else "#status", Static).update(safe_line(words))

    def begin(self) -> None:
        """Focus the field; what is typed replaces the current filter."""
        field = self.query_one(FilterInput)
        field.focus()
        field.action_select_all()

    @on(Input.Submitted)
    def submitted(self, event: Input.Submitted) -> None:
        """Apply the filter and focus the table."""
        event.stop()
        self.post_message(self.FilterChanged(event.value))
        self.post_message(self.FilterClosed())
