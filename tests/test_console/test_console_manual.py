from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from textual.binding import Binding

from seal_console.console.app import ConsoleApp
from seal_console.console.dialogs.choose import ChooseDialog
from seal_console.console.dialogs.confirm import ConfirmDialog
from seal_console.console.dialogs.edit import EditDialog, SequencesDialog
from seal_console.console.dialogs.modal import TextDialog
from seal_console.console.screens.catalogue import SCREEN_CLASSES
from seal_console.console.widgets.inputs import FilterInput
from seal_console.console.widgets.paged_table import PagedTable
from tests.test_console.console_scenario import drive, run

if TYPE_CHECKING:
    from store.workspace import Workspace
    from tests.test_console.cli_scenario import CandidateMaker

MANUAL = Path(__file__).resolve().parents[2] / "docs" / "console.md"
SCREENS = [
    getattr(import_module(f"seal_console.console.screens.{name}"), kind) for name, kind in SCREEN_CLASSES.items()
]
KINDS = [
    ConsoleApp, *SCREENS, PagedTable, FilterInput, ConfirmDialog, TextDialog, EditDialog, SequencesDialog, ChooseDialog,
]  # fmt: skip


def own_bindings(kind: type) -> list[Binding]:
    return [one for one in kind.__dict__.get("BINDINGS", []) if isinstance(one, Binding) and one.id]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_action_with_a_name_is_in_the_manual_with_its_key(kind: type) -> None:
    text = MANUAL.read_text(encoding="utf-8")
    for binding in own_bindings(kind):
        assert binding.id is not None
        lines = [line for line in text.splitlines() if f"`{binding.id}`" in line]
        assert len(lines) == 1, binding.id
        if not binding.id.startswith("go."):
            shown = {"question_mark": "?", "slash": "/", "left_square_bracket": "[", "right_square_bracket": "]",
                     "escape": "esc", "pagedown": "page down", "pageup": "page up"}  # fmt: skip
            key = shown.get(binding.key.split(",")[0], binding.key.split(",")[0])
            assert f"`{key}`" in lines[0], (binding.id, key)


def test_the_manual_names_no_action_that_is_not_there() -> None:
    known = {binding.id for kind in KINDS for binding in own_bindings(kind)}
    named = set(re.findall(r"`((?:go|review|table|list|versions|rounds|tasks|log|now|filter|dialog)\.[a-z_]+)`",
                           MANUAL.read_text(encoding="utf-8")))  # fmt: skip
    assert named <= known


def test_help_and_palette_name_the_keys_of_the_screen(maker: CandidateMaker, workspace: Workspace) -> None:
    maker.examined(0.5)

    async def flow() -> None:
        async with drive(workspace, size=(120, 60)) as console:
            await console.in_review()
            await console.press("question_mark")
            await console.until(lambda: "Help: review" in console.shown())
            assert "undo your last reject or defer" in console.shown()
            await console.press("escape", "ctrl+p")
            await console.until(lambda: "Reject (x)" in console.shown())
            for key in ("t", "h", "e", "m", "e", "space", "left_parenthesis"):
                await console.press(key)
            await console.until(lambda: "Theme (ctrl+t)" in console.shown() and "order (S)" not in console.shown())
            before = console.app.theme
            await console.press("enter")
            await console.until(lambda: console.app.theme != before)

    run(flow())


def test_help_and_palette_speak_of_no_classes_and_of_no_actions_of_the_library(
    maker: CandidateMaker, workspace: Workspace
) -> None:
    maker.examined(0.5)

    async def flow() -> None:
        async with drive(workspace, size=(120, 60)) as console:
            await console.press("7", "question_mark")
            await console.until(lambda: "Help: retention" in console.shown())
            assert "Matrix" in console.shown()
            assert "HeatMap" not in console.shown()
            await console.press("escape", "ctrl+p")
            await console.until(lambda: "Run a round (ctrl+r)" in console.shown())
            assert "Focus" not in console.shown()
            assert "Scroll" not in console.shown()

    run(flow())


def test_settings_choose_theme_and_keys(maker: CandidateMaker, workspace: Workspace) -> None:
    maker.examined(0.5)
    workspace.settings_file.write_text(
        'console:\n  theme: seal-light\n  keys: {"review.reject": "ctrl+y"}\n', encoding="utf-8"
    )

    async def flow() -> None:
        async with drive(workspace, size=(120, 130)) as console:
            assert console.app.theme == "seal-light"
            await console.in_review()
            await console.press("x")
            await console.pilot.pause()
            assert len(console.app.screen_stack) == 1
            await console.press("ctrl+y")
            await console.until(lambda: "Reject this self-edit?" in console.shown())
            await console.press("escape", "f3")
            await console.until(lambda: "seal-light" in console.shown() and "seal.yaml" in console.shown())

    run(flow())


def test_an_unexpected_error_leaves_a_report_and_the_console_continues(
    maker: CandidateMaker, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker.examined(0.5)

    async def flow() -> None:
        async with drive(workspace, size=(140, 40)) as console:
            await console.in_review()

            def broken(*_: object) -> None:
                raise RuntimeError("a defect")

            monkeypatch.setattr("seal_console.console.screens.review.queue_keys", broken)
            await console.press("R")
            await console.until(lambda: "Unexpected error" in console.shown())
            assert "a defect" in console.shown()
            await console.press("escape", "1")
            await console.until(lambda: "What needs me?" in console.shown())

    run(flow())
    (report,) = (workspace.cache_folder / "reports").iterdir()
    assert "a defect" in report.read_text(encoding="utf-8")


def test_the_palette_jumps_to_versions_tasks_and_candidates_by_name(
    maker: CandidateMaker, workspace: Workspace
) -> None:
    candidate = maker.examined(0.5)

    async def flow() -> None:
        async with drive(workspace, size=(120, 60)) as console:
            await console.press("ctrl+p")
            await console.type("returns")
            await console.until(lambda: "Go to task Returns" in console.shown())
            await console.press("down", "enter")
            await console.until(lambda: "Now 30 days." in console.shown())
            await console.press("ctrl+p")
            await console.type(candidate.id.removeprefix("sha256:")[:6])
            await console.until(lambda: "Go to candidate" in console.shown())
            await console.press("down", "enter")
            await console.until(lambda: "Returns take 30 days." in console.shown())

    run(flow())
