"""What screens and dialogs need of the application: the workspace, its reader, actions, questions and notices."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from textual.events import Event, InputEvent, Paste

from engine.runtime.crash_report import write_report
from seal_console.console.actions import Actions
from seal_console.console.content import safe
from seal_console.console.dialogs.confirm import Confirmation, ConfirmDialog
from seal_console.console.dialogs.modal import FailureDialog
from seal_console.console.ordered_input import OrderedInput
from seal_console.console.runtime import ErrorBoundary
from seal_console.console.store_reader import StoreReader
from seal_console.console.watch import TopFacts
from store.errors import SealError
from store.expected_failures import expected_failure
from store.sanitize import sanitize

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlite_utils import Database

    from engine.settings.sections import Settings
    from store.workspace import Workspace

T = TypeVar("T")


class ConsoleBase(ErrorBoundary, OrderedInput):
    """The application without its screens; `ConsoleApp` adds them."""

    def __init__(
        self,
        workspace: Workspace,
        settings: Settings,
        *,
        actor: str,
        read_only: bool,
        start_engine: Callable[[Path], int],
        in_browser: bool = False,
    ) -> None:
        super().__init__()
        self.workspace, self.settings, self.read_only = workspace, settings, read_only
        self.actor, self.in_browser = actor, in_browser
        self.reader = StoreReader(workspace.database_file)
        self.actions = Actions(workspace, actor, read_only=read_only)
        self.facts = TopFacts()
        self.failure: SealError | None = None
        self.reasons: list[str] = []
        self.start_engine = start_engine
        self.last_input = 0.0

    async def on_event(self, event: Event) -> None:
        """Replace control characters in pasted text by visible signs before any field gets it."""
        if isinstance(event, InputEvent):
            self.last_input = time.monotonic()
        if isinstance(event, Paste):
            event.text = sanitize(event.text.replace("\r\n", "\n").replace("\r", "\n"))
        await super().on_event(event)

    async def look(self) -> None:
        """Compare the workspace with how it was at the last look; `ConsoleApp` does."""

    async def act(self, title: str, action: Callable[[Workspace, Database], T]) -> T | None:
        """Run an action; a failure that can be expected is shown, and None comes back."""
        try:
            done = await self.actions.run(title, action)
        except SealError as error:
            self.show_error(error)
            return None
        await self.look()
        return done

    async def ask(self, question: Confirmation) -> str | None:
        """Ask; return the reason ("" if none was requested), or None if the operator cancelled."""
        if self.read_only:
            self.say("This console is read-only; start it without --read-only to make decisions.", "warning")
            return None
        answer = await self.push_screen_wait(ConfirmDialog(question))
        if answer and answer not in self.reasons:
            self.reasons.insert(0, answer)
        return answer

    def refuses_files(self) -> bool:
        """Whether no file may be written because the console is read-only; says so."""
        if self.read_only:
            self.say("This console is read-only: it writes no files.", "warning")
        return self.read_only

    def say(self, sentence: str, severity: str = "information") -> None:
        """Show a notice that needs no answer."""
        self.notify(sanitize(sentence), severity=severity, markup=False)  # type: ignore[arg-type]

    def show_error(self, error: SealError) -> None:
        """Show an expected failure: what happened, each problem, and what to do next."""
        words = "\n".join([error.message, *error.problems, *([f"Next: {error.next_step}"] if error.next_step else [])])
        self.notify(sanitize(words), title="Failed", severity="error", timeout=12, markup=False)

    def unexpected(self, error: Exception) -> None:
        """Write a report of an unexpected failure and show its path; the console continues."""
        expected = expected_failure(error, self.workspace.database_file)
        if expected is not None:
            self.show_error(expected)
            return
        report = write_report("console", None if self.read_only else self.workspace.root, error)
        if isinstance(self.screen, FailureDialog):
            return  # one at a time: the reports are all there
        body = (
            f"{type(error).__name__}: {error}\n\nThe report is in {report}\nThe console continues; stored data is safe."
        )
        self.push_screen(FailureDialog("Unexpected error", safe(body)))

    def _handle_exception(self, error: Exception) -> None:
        """Take over from Textual, which would end; but not before the first screen is there, nor at the end."""
        if not self.is_running or self._exit or not self.screen_stack:
            super()._handle_exception(error)
        else:
            self.unexpected(error)
