"""The retention screen: what edits cost, cell by cell, and alarms that a person clears."""

from __future__ import annotations

import csv
from functools import partial
from typing import TYPE_CHECKING

import pytest

from engine.gates.names import DRIFT_GATE
from seal_console.console.dialogs.confirm import ConfirmDialog
from seal_console.console.dialogs.export import ExportDialog
from seal_console.console.screens.retention import RetentionScreen
from seal_console.console.screens.retention_card import retention_card
from seal_console.console.screens.versions import VersionsScreen
from seal_console.console.widgets.long_text import DetailPane
from seal_console.queries.retention import retention_facts
from store.alarms import active_alarms, clearings, raise_alarm
from store.answers import record_base_answers
from store.records import Answer, GateResult, SuiteNoise
from store.retention import record_noise
from tests.test_console.cli_scenario import CandidateMaker, make_task
from tests.test_console.console_scenario import ConsoleDriver, drive, run
from tests.test_console.version_scenario import accepted

if TYPE_CHECKING:
    from store.workspace import Workspace

SIZES = [(80, 24), (120, 40), (200, 60)]


@pytest.fixture
def forgetful(maker: CandidateMaker, workspace: Workspace) -> CandidateMaker:
    """Two edits on the live line; the second version has lost an answer of the first."""
    accepted(maker, 0.5)
    other = CandidateMaker.begin(workspace, make_task("Shipping", "How far?"))
    other.made = maker.made
    accepted(other, 0.6)
    first, second = maker.task.questions, other.task.questions
    learnt = [Answer(one.id, None, 0, "before", "v0001", "a week", 0.0, correct=False) for one in second]
    kept = Answer(first[0].id, None, 0, "before", "v0002", "30 days", 1.0, correct=True)
    lost = Answer(first[1].id, None, 0, "before", "v0002", "[b]14[/b] \x1b[2Jdays", 0.0, correct=False)
    record_base_answers(maker.db, [*learnt, kept, lost])
    return maker


async def in_retention(console: ConsoleDriver) -> RetentionScreen:
    await console.press("7")
    await console.until(lambda: isinstance(console.app.screen, RetentionScreen) and card(console))
    screen = console.app.screen
    assert isinstance(screen, RetentionScreen)
    return screen


def card(console: ConsoleDriver) -> str:
    return console.app.screen_stack[0].query_one(DetailPane).text.plain


def says(console: ConsoleDriver, words: str) -> bool:
    return words in card(console)


@pytest.mark.usefixtures("forgetful")
@pytest.mark.parametrize("size", SIZES)
def test_the_matrix_and_what_was_lost_are_seen_at_every_size(workspace: Workspace, size: tuple[int, int]) -> None:
    async def flow() -> None:
        async with drive(workspace, size=size) as console:
            await in_retention(console)
            await console.until(lambda: "v0002 on the edit of v0001" in console.shown())
            shown = [line for line in console.shown().splitlines() if "v000" in line]
            assert any("v0001" in line and "[100]" in line for line in shown)
            assert any("v0002" in line and "50▾" in line and "[100]" in line for line in shown)
            assert any("v0000" in line and " 0 " in line for line in shown)
            text = card(console)
            assert "1 of 2 (50.0 %)" in text
            assert "▾ How long? (audit)" in text
            assert "✓ right 30 days  →  ✗ wrong [b]14[/b] ␛[2Jdays" in text
            assert "▾ How long? (reward)" not in text
            assert "-50 points: forgotten" in text

    run(flow())


@pytest.mark.usefixtures("forgetful")
def test_the_cursor_goes_from_cell_to_cell_and_stays_in_the_matrix(workspace: Workspace) -> None:
    async def flow() -> None:
        async with drive(workspace) as console:
            screen = await in_retention(console)
            for keys, about in (
                ("l", "v0002 on the edit of v0002"),
                ("right", "v0002 on the edit of v0002"),
                ("k", "v0001 on the edit of v0002"),
                ("g", "v0000 on the edit of v0001"),
                ("up", "v0000 on the edit of v0001"),
                ("G", "v0002 on the edit of v0002"),
                ("h", "v0002 on the edit of v0001"),
            ):
                await console.press(keys)
                await console.until(partial(says, console, about), about)
            await console.press("tab")
            await console.until(lambda: not screen.matrix.has_focus)
            await console.press("tab", "k", "enter")
            await console.until(lambda: isinstance(console.app.screen, VersionsScreen))
            await console.until(lambda: card(console).startswith("v0001"))

    run(flow())


@pytest.mark.usefixtures("forgetful")
def test_the_mouse_chooses_a_cell(workspace: Workspace) -> None:
    async def flow() -> None:
        async with drive(workspace) as console:
            screen = await in_retention(console)
            await console.pilot.click(screen.matrix, offset=(2 + 7 + 6 + 1, 1 + 1 + 1))
            await console.until(lambda: "v0001 on the edit of v0002" in card(console))

    run(flow())


def test_an_empty_lineage_is_explained(maker: CandidateMaker, workspace: Workspace) -> None:
    maker.examined(0.5)

    async def flow() -> None:
        async with drive(workspace) as console:
            await in_retention(console)
            assert "No edit is accepted on the live lineage yet" in console.shown()
            assert "Nothing is accepted on the live lineage yet" in card(console)
            await console.press("w")
            await console.until(lambda: "nothing to export" in console.said)
            await console.press("c")
            await console.until(lambda: "No active alarms." in console.said)

    run(flow())


def test_what_was_not_asked_is_distinguished_from_wrong(maker: CandidateMaker, workspace: Workspace) -> None:
    accepted(maker, 0.5)
    other = CandidateMaker.begin(workspace, make_task("Shipping", "How far?"))
    other.made = maker.made
    accepted(other, 0.6)

    async def flow() -> None:
        async with drive(workspace) as console:
            await in_retention(console)
            assert "retention matrix --ask" in card(console)
            assert any("v0002" in line and "–" in line for line in console.shown().splitlines())

    run(flow())


def test_an_active_alarm_comes_first_and_is_cleared_with_a_reason(
    forgetful: CandidateMaker, workspace: Workspace
) -> None:
    raise_alarm(forgetful.db, 1, "echo", {"figure": "echo", "odd": "\x1b[2J"})

    async def flow() -> None:
        async with drive(workspace) as console:
            await in_retention(console)
            assert "! 1 alarm active" in console.shown()
            assert card(console).startswith("! alarm 1 is active: echo")
            assert "\x1b" not in card(console)
            await console.press("c")
            await console.until(lambda: isinstance(console.app.screen, ConfirmDialog))
            assert 'alarms clear 1 --reason "…"' in console.shown()
            await console.press("escape")
            await console.until(lambda: isinstance(console.app.screen, RetentionScreen))
            assert active_alarms(forgetful.db)
            await console.press("c")
            await console.until(lambda: isinstance(console.app.screen, ConfirmDialog))
            await console.type("looked")
            await console.press("ctrl+s")
            await console.until(lambda: "no active alarms" in console.shown())
            await console.until(lambda: "1 alarm cleared" in card(console))

    run(flow())
    assert [(one.actor, one.reason) for one in clearings(forgetful.db).values()] == [("ada", "looked")]


@pytest.mark.usefixtures("forgetful")
def test_the_matrix_is_exported_with_shares_and_gaps(workspace: Workspace) -> None:
    async def flow() -> None:
        async with drive(workspace) as console:
            await in_retention(console)
            await console.press("w")
            await console.until(lambda: isinstance(console.app.screen, ExportDialog))
            await console.press("enter")
            await console.until(lambda: "3 rows written" in console.said)

    run(flow())
    [path] = (workspace.root / "exports").iterdir()
    rows = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    assert rows == [["version", "v0001", "v0002"], ["v0000", "0.0", "0.0"], ["v0001", "1.0", "0.0"],
                    ["v0002", "0.5", "1.0"]]  # fmt: skip


def test_suites_are_shown_with_what_they_guard_and_their_noise_floor(
    maker: CandidateMaker, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_noise(maker.db, [SuiteNoise("p", "c", "sha256:b", "facts\x1b[2J", 40, 31, 1, 3, "2026-01-01T00:00:00.000Z")])

    async def before() -> None:
        async with drive(workspace) as console:
            await in_retention(console)
            assert "facts␛[2J  31 of 40 answered right by the base; noise floor 1" in card(console)

    run(before())
    version = accepted(maker, 0.5)
    lost = {"prompt": "Which?", "expected": ["blue"], "before": "blue", "after": "red"}
    evidence = {
        "suite": "facts\x1b[2J", "prompts": 40, "right_before": 31, "right_after": 29, "lost": [lost] * 2, "gained": 0,
        "allowed_losses": 4, "p_value": 0.25, "rule": "each", "significance": 0.05,
    }  # fmt: skip
    gate = GateResult(version.candidate_id, "retention:facts\x1b[2J", True, evidence, "2026-01-01T00:00:00Z")
    monkeypatch.setattr("seal_console.queries.retention.gates_of", lambda _, __: [gate])
    [facts] = retention_facts(maker.db).suites
    assert (facts.right, facts.lost, facts.noise_floor) == (31, 2, 1)
    assert "facts␛[2J  lost 2 of 31; noise floor 1" in retention_card(retention_facts(maker.db), None).plain


def test_drift_is_that_of_the_gate_that_let_the_version_pass(
    maker: CandidateMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = accepted(maker, 0.5)
    evidence = {"mean_kl": 0.25, "worst_kl": 3.0, "mean_kl_before": 0.0, "max_drift": 0.5, "tokens": 8}
    gate = GateResult(version.candidate_id, DRIFT_GATE, True, evidence, "2026-01-01T00:00:00Z")
    monkeypatch.setattr("seal_console.queries.retention.gates_of", lambda _, __: [gate])
    [point] = retention_facts(maker.db).drift
    assert (point.version, point.mean_kl, point.worst_kl, point.limit) == ("v0001", 0.25, 3.0, 0.5)
