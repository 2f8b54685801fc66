"""The console application: its screens, shared actions and notices. The work is in other modules."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, ClassVar, TypeVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.events import Event, InputEvent, Paste

from engine.runtime.crash_report import write_report
from seal_console.console import gc_tuning as garbage
from seal_console.console.actions import Actions
from seal_console.console.content import safe
from seal_console.console.dialogs.confirm import Confirmation, ConfirmDialog
from seal_console.console.dialogs.modal import FailureDialog, TextDialog
from seal_console.console.help import help_for
from seal_console.console.palette import ConsoleCommands
from seal_console.console.prerender import prepare_screens
from seal_console.console.runtime import ErrorBoundary, quit_on_signals, start_work
from seal_console.console.screens.base import ShowCandidate, ShowVersion
from seal_console.console.screens.catalogue import MODES, NUMBER_KEYS
from seal_console.console.store_reader import StoreReader
from seal_console.console.themes import THEMES, next_theme
from seal_console.console.watch import INTERVAL_S, Pulse, TopFacts, pulse, top_facts
from seal_console.engine_control import ask_for_rounds, run_waiting_jobs, stop_engine
from seal_console.table_files import suggested_path
from store.errors import SealError
from store.lock import lock_owner
from store.sanitize import sanitize, sanitize_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from sqlite_utils import Database
    from textual.app import SystemCommand
    from textual.screen import Screen

    from engine.settings.sections import Settings
    from seal_console.console.palette import JumpTarget
    from store.workspace import Workspace

from seal_console.console.screens.base import SealScreen

T = TypeVar("T")


class ConsoleApp(ErrorBoundary, App[None]):
    """The operator console on one workspace."""

    TITLE = "seal-console"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = True
    COMMANDS: ClassVar[set[type]] = {ConsoleCommands}  # type: ignore[assignment]
    MODES = MODES
    BINDINGS: ClassVar[list[BindingType]] = [
        *NUMBER_KEYS,
        Binding("question_mark,f1", "help", "Help", key_display="?", id="help"),
        Binding("ctrl+p", "command_palette", "Commands", id="palette"),
        Binding("ctrl+r", "run_round", "Run a round", id="run"),
        Binding("ctrl+x", "stop_engine", "Stop", show=False, id="stop"),
        Binding("ctrl+t", "next_theme", "Theme", show=False, id="theme"),
        Binding("f4", "screenshot_file", "Picture", show=False, id="picture", tooltip="the screen as an SVG file"),
        Binding("f2", "info", "Paths", show=False, id="info"),
        Binding("f3", "settings", "Settings", show=False, id="settings"),
        Binding("ctrl+q", "quit", "Quit", id="quit"),
    ]

    def __init__(
        self,
        workspace: Workspace,
        settings: Settings,
        *,
        actor: str,
        read_only: bool,
        start_engine: Callable[[Path], int],
        first_screen: str = "now",
    ) -> None:
        super().__init__()
        self.workspace, self.settings, self.read_only = workspace, settings, read_only
        self.actor = actor
        self.reader = StoreReader(workspace.database_file)
        self.actions = Actions(workspace, actor, read_only=read_only)
        self.facts = TopFacts()
        self.failure: SealError | None = None
        self.reasons: list[str] = []
        self.start_engine = start_engine
        self._first_screen = first_screen
        self._pulse: Pulse | None = None
        self._looking = False
        self.last_input = 0.0

    def on_mount(self) -> None:
        """Take the settings up, show the first screen, and begin to watch the workspace."""
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = self.settings.console.theme
        self.set_keymap({action: sanitize_line(keys) for action, keys in self.settings.console.keys.items()})
        quit_on_signals(lambda: start_work(self, self.action_quit, group="quit"))
        self.switch_mode(self._first_screen)
        self.set_interval(INTERVAL_S, self._look)
        self.set_interval(garbage.EVERY_S, lambda: garbage.collect(time.monotonic() - self.last_input))
        self.call_after_refresh(self._begin)

    async def on_event(self, event: Event) -> None:
        """Replace control characters in pasted text by visible signs before any field gets it."""
        if isinstance(event, InputEvent):
            self.last_input = time.monotonic()
        if isinstance(event, Paste):
            event.text = sanitize(event.text.replace("\r\n", "\n").replace("\r", "\n"))
        await super().on_event(event)

    def _begin(self) -> None:
        """Once the first screen is painted: open the workspace, and load the other screens."""
        start_work(self, self._open, group="open")

    async def _open(self) -> None:
        try:
            await self.actions.prepare()
        except SealError as error:
            self.failure = error
            self.exit()
            return
        self.reader.ready.set()
        try:
            said = await self.actions.tidy()
        except SealError as error:
            self.show_error(error)
        else:
            for sentence in said:
                self.say(sentence, "warning")
            await self._run_waiting_jobs()
        await self._look()
        await prepare_screens(self)

    async def _look(self) -> None:
        """Compare the workspace with how it was at the last look."""
        if self._looking or not self.reader.ready.is_set():
            return
        self._looking = True
        try:
            await self._compare(await self.reader.read(lambda db: pulse(self.workspace, db)))
        except SealError as error:
            self.show_error(error)
        finally:
            self._looking = False

    async def _compare(self, seen: Pulse) -> None:
        before, self._pulse = self._pulse, seen
        if before == seen:
            return
        if before is not None and before.head != seen.head and not self.read_only:
            for sentence in await self.actions.tidy():
                self.say(sentence, "warning")
        if before is not None and before.engine is not None and seen.engine is None:
            await self._run_waiting_jobs()
        self.facts = await self.reader.read(lambda db: top_facts(db, seen.engine))
        for screen in self.seal_screens():
            screen.note_change(happened=before is None or before.events != seen.events)

    async def _run_waiting_jobs(self) -> None:
        if not self.read_only:
            await self.act("start the engine", lambda workspace, db: run_waiting_jobs(workspace, db, self.start_engine))

    def seal_screens(self) -> list[SealScreen]:
        """The console's screens that have been seen, whichever mode they are of."""
        stacks = self._screen_stacks.values()
        return [stack[0] for stack in stacks if stack and isinstance(stack[0], SealScreen) and stack[0].is_mounted]

    async def act(self, title: str, action: Callable[[Workspace, Database], T]) -> T | None:
        """Run an action; a failure that can be expected is shown, and None comes back."""
        try:
            done = await self.actions.run(title, action)
        except SealError as error:
            self.show_error(error)
            return None
        await self._look()
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

    def say(self, sentence: str, severity: str = "information") -> None:
        """Show a notice that needs no answer."""
        self.notify(sanitize(sentence), severity=severity, markup=False)  # type: ignore[arg-type]

    def show_error(self, error: SealError) -> None:
        """Show an expected failure: what happened, each problem, and what to do next."""
        words = "\n".join([error.message, *error.problems, *([f"Next: {error.next_step}"] if error.next_step else [])])
        self.notify(sanitize(words), title="Failed", severity="error", timeout=12, markup=False)

    def unexpected(self, error: Exception) -> None:
        """Write a report of an unexpected failure and show its path; the console continues."""
        report = write_report("console", self.workspace.root, error)
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

    async def on_show_candidate(self, message: ShowCandidate) -> None:
        """Show a candidate in the review."""
        await self.action_go("review")
        if isinstance(self.screen, SealScreen):
            self.screen.show_candidate(message.candidate_id)

    async def on_show_version(self, message: ShowVersion) -> None:
        """Show a version among the versions."""
        await self.action_go("versions")
        if isinstance(self.screen, SealScreen):
            self.screen.show_version(message.number)

    async def go_to(self, target: JumpTarget) -> None:
        """Show the target of a jump."""
        if target.kind == "version":
            self.post_message(ShowVersion(int(target.identity)))
        elif target.kind == "candidate":
            self.post_message(ShowCandidate(target.identity))
        else:
            await self.action_go("tasks")
            if isinstance(self.screen, SealScreen):
                self.screen.put_filter(f'title:"{target.identity}"')

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Textual's own commands are left out: the palette lists the console's actions."""
        del screen
        return []

    def delay_update(self, delay: float = 0.0) -> None:
        """Add no delay: Textual waits 50 ms at each change of screens, but these screens are built already."""

    async def action_go(self, name: str) -> None:
        """Go to a screen."""
        if len(self.screen_stack) == 1 and self.current_mode != name:
            await self.switch_mode(name)

    def action_help(self) -> None:
        """Explain the screen and every key that works here."""
        screen = self.screen
        title = f"Help: {screen.NAME}" if isinstance(screen, SealScreen) else "Help"
        self.push_screen(TextDialog(title, help_for(screen)))

    def action_next_theme(self) -> None:
        """Switch to the next theme; set console.theme in seal.yaml to keep it."""
        self.theme = next_theme(self.theme)
        self.say(f"Theme {self.theme}. To keep it: console.theme in seal.yaml")

    def action_screenshot_file(self) -> None:
        """Write the screen as an SVG file into the workspace's folder for exports."""
        path = suggested_path(self.workspace, "screen").with_suffix(".svg")
        picture = self.export_screenshot()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(picture, encoding="utf-8")
        self.say(f"Saved a picture of the screen to {path}")

    async def action_info(self) -> None:
        """Show every path."""
        from seal_console.console.info import info_text  # noqa: PLC0415 - loaded after the first screen is painted

        body = await self.reader.read(lambda db: info_text(self.workspace, db))
        self.push_screen(TextDialog("Paths and versions", body))

    def action_settings(self) -> None:
        """Show every setting with its source."""
        from seal_console.console.info import settings_text  # noqa: PLC0415

        self.push_screen(TextDialog("Settings", settings_text(self.workspace)))

    def action_run_round(self) -> None:
        """Confirm, then add a job for a round."""
        start_work(self, self._run_round, group="ask")

    async def _run_round(self) -> None:
        of, each = self.settings.round.tasks_per_round, self.settings.self_edit.per_task
        happens = (
            f"The engine writes {each} self-edits for each of up to {of} tasks, trains and evaluates each one,",
            "and trains the policy on the best. An interrupted round is resumed. Nothing goes live by itself.",
            f"Command: seal-console -w {self.workspace.root} run --rounds 1",
        )
        if await self.ask(Confirmation("Run a round?", happens, "Run it", cancel="Not now")) is not None:
            done = await self.act(
                "run a round", lambda workspace, db: ask_for_rounds(workspace, db, 1, self.actor, self.start_engine)
            )
            if done is not None:
                self.say("Added a job; the engine is starting.")

    def action_stop_engine(self) -> None:
        """Confirm, then stop the engine."""
        start_work(self, self._stop_engine, group="ask")

    async def _stop_engine(self) -> None:
        if lock_owner(self.workspace.lock_file) is None:  # self.facts may be older
            self.say("No engine is running.")
            return
        happens = (
            "The engine stops within a moment. Completed measurements are kept.",
            "The round is marked interrupted, and the next run resumes it. Waiting jobs are cancelled.",
            f"Command: seal-console -w {self.workspace.root} stop",
        )
        if await self.ask(Confirmation("Stop the engine?", happens, "Stop it", cancel="Let it run")) is not None:
            await self.act("stop the engine", lambda workspace, db: stop_engine(workspace, db, self.actor))

    async def action_quit(self) -> None:
        """Leave: a running action is finished first, a running engine continues."""
        await asyncio.to_thread(self.actions.close)
        self.exit()

    async def on_unmount(self) -> None:
        """Close readers and writers."""
        await asyncio.to_thread(self.actions.close)
        await self.reader.close()
