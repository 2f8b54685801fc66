"""The console application: its screens, shared actions and notices. The work is in other modules."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, ClassVar, TypeVar

from textual.binding import Binding, BindingType

from seal_console.console import gc_tuning as garbage
from seal_console.console.console_base import ConsoleBase
from seal_console.console.dialogs.confirm import Confirmation
from seal_console.console.dialogs.modal import TextDialog
from seal_console.console.help import help_for
from seal_console.console.palette import ConsoleCommands, JumpRequested
from seal_console.console.prerender import prepare_screens
from seal_console.console.runtime import quit_on_signals, start_work
from seal_console.console.screens.base import SealScreen, ShowCandidate, ShowVersion
from seal_console.console.screens.catalogue import MODES, NUMBER_KEYS
from seal_console.console.themes import THEMES, next_theme
from seal_console.console.watch import INTERVAL_S, Pulse, pulse, top_facts
from seal_console.engine_control import ask_for_rounds, run_waiting_jobs, stop_engine
from seal_console.table_files import require_own_exports, write_picture
from store.errors import SealError
from store.lock import lock_owner
from store.sanitize import sanitize_line
from store.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from textual.app import SystemCommand
    from textual.screen import Screen

    from engine.settings.sections import Settings
    from store.workspace import Workspace

T = TypeVar("T")


class ConsoleApp(ConsoleBase):
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
        in_browser: bool = False,
    ) -> None:
        super().__init__(
            workspace, settings, actor=actor, read_only=read_only, start_engine=start_engine, in_browser=in_browser
        )
        self._first_screen = first_screen
        self._pulse: Pulse | None = None
        self._looking = False

    def on_mount(self) -> None:
        """Take the settings up, show the first screen, and begin to watch the workspace."""
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = self.settings.console.theme
        self.set_keymap({action: sanitize_line(keys) for action, keys in self.settings.console.keys.items()})
        quit_on_signals(lambda: start_work(self, self.action_quit, group="quit"))
        self.switch_mode(self._first_screen)
        self.set_interval(INTERVAL_S, self.look)
        self.set_interval(garbage.EVERY_S, lambda: garbage.collect(time.monotonic() - self.last_input))
        self.call_after_refresh(self._begin)

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
        await self.look()
        await prepare_screens(self)

    async def look(self) -> None:
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

    async def on_jump_requested(self, message: JumpRequested) -> None:
        """Show the target of a jump."""
        target = message.target
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
        if self.refuses_files():
            return
        try:
            if self.in_browser:
                require_own_exports(self.workspace)
            path = write_picture(self.workspace, self.export_screenshot())
        except SealError as error:
            self.show_error(error)
            return
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
            (
                f"The engine writes {counted(each, 'self-edit')} for each of up to {counted(of, 'task')}, trains and "
                "evaluates each one, and trains the policy on the best."
            ),
            "An interrupted round is resumed. Nothing goes live by itself.",
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
