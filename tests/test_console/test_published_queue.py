"""A run in the format that SEAL publishes as the queue: 250 self-edits of 50 tasks, with the figures of the file."""

from __future__ import annotations

import csv
import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from engine.settings.reading import default_settings_text
from seal_console.cli.main import main
from seal_console.console.dialogs.confirm import ConfirmDialog
from seal_console.console.dialogs.export import ExportDialog
from seal_console.console.screens.rounds import RoundsScreen
from seal_console.console.screens.tasks import TasksScreen
from seal_console.console.widgets.long_text import DetailPane
from seal_console.queries.queue import queue_rows
from store.candidates import decisions_of, list_candidates
from store.database import open_database
from store.jobs import list_jobs
from store.ranking import candidate_rank
from store.workspace import Workspace, create_workspace
from tests.published_run import published_run, write_published_run
from tests.test_console.cli_scenario import CandidateMaker
from tests.test_console.console_scenario import ConsoleDriver, drive, run

if TYPE_CHECKING:
    from pathlib import Path

    from seal_console.console.screens.candidate_content import CandidateContent
    from seal_console.queries.queue import QueueRow


@pytest.fixture(scope="module")
def imported_once(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("published")
    workspace = create_workspace(folder / "w", default_settings_text())
    run_file = write_published_run(folder / "rank_iter0.json")
    assert main(["-w", str(workspace.root), "lab", "import", "seal", str(run_file)]) == 0
    return workspace


@pytest.fixture
def published(imported_once: Workspace, tmp_path: Path) -> Workspace:
    shutil.copytree(imported_once.root, tmp_path / "w")
    return Workspace(tmp_path / "w")


@pytest.fixture(scope="module")
def said() -> dict[str, Any]:
    """The content of the imported file."""
    return published_run()


async def all_in_review(console: ConsoleDriver) -> None:
    await console.press("2")
    await console.until(lambda: console.app.current_mode == "review" and "0 listed" in console.shown())
    await console.press("v")
    await console.until(lambda: len(console.review.table.keys) == 250 and console.review.pane.shown is not None)


async def filtered(console: ConsoleDriver, text: str, count: int) -> list[QueueRow]:
    console.review.put_filter(text)
    await console.until(lambda: len(console.review.table.keys) == count, f"{count} for {text}")
    return rows_of(console)


def rows_of(console: ConsoleDriver) -> list[QueueRow]:
    keys = console.review.table.keys
    found = console.app.reader.read_now(lambda db: queue_rows(db, keys))
    return [found[key] for key in keys]


async def sorted_by(console: ConsoleDriver, name: str, *, backwards: bool) -> None:
    await console.until(lambda: console.review.table.sorted_by == (name, backwards), name)


async def read(console: ConsoleDriver, candidate_id: str) -> CandidateContent:
    """Wait until the pane shows a candidate."""
    pane = console.review.pane
    await console.until(lambda: pane.shown is not None and pane.shown.whole.candidate.id == candidate_id)
    assert pane.shown is not None
    return pane.shown


def test_none_of_them_waits_and_it_is_reported_how_to_see_them(published: Workspace) -> None:
    async def flow() -> None:
        async with drive(published) as console:
            await console.press("2")
            await console.until(lambda: console.app.current_mode == "review" and "0 listed" in console.shown())
            assert "Nothing waits. v shows all, ctrl+r runs a round." in console.shown()
            assert console.app.facts.waiting == 0
            await all_in_review(console)
            assert "250 in all" in console.shown()

    run(flow())


def test_the_best_of_250_comes_first_and_every_order_can_be_reversed(published: Workspace) -> None:
    db = open_database(published.database_file)
    rank = {one.id: candidate_rank(one) for one in list_candidates(db)}
    db.close()
    by = {
        "audit": lambda row: rank[row.id],  # none has an audit gain, and all are of one round and in one state
        "task": lambda row: (row.title, rank[row.id]),
        "round": lambda row: rank[row.id],
        "state": lambda row: rank[row.id],
        "id": lambda row: row.id,
    }

    async def flow() -> None:
        async with drive(published) as console:
            await all_in_review(console)
            in_rank = rows_of(console)
            assert in_rank == sorted(in_rank, key=lambda row: rank[row.id])
            rewards = [row.reward_mean or 0.0 for row in in_rank]
            assert rewards == sorted(rewards, reverse=True)
            for name, order in by.items():
                await console.press("s")
                await sorted_by(console, name, backwards=False)
                found = rows_of(console)
                assert found == sorted(found, key=order), name
                await console.press("S")
                await sorted_by(console, name, backwards=True)
                assert rows_of(console) == found[::-1]

    run(flow())


def test_filters_find_what_the_published_file_has(published: Workspace, said: dict[str, Any]) -> None:
    edits = [(article["title"], one) for article in said["articles"] for one in article["completions"]]
    gains = [one["stats"]["gain_mean"] for _, one in edits]
    texts = [f"{title}\n{one['text']}".lower() for title, one in edits]
    about = {word: sum(word in text for text in texts) for word in ("greece", "málaga")}
    of_title = sum(title == "Harbour of Ostrey" for title, _ in edits)

    async def flow() -> None:
        async with drive(published) as console:
            await all_in_review(console)
            better = sum(gain > 0.3 + 1e-9 for gain in gains)
            assert all((row.reward_mean or 0.0) > 0.3 for row in await filtered(console, "reward>0.3", better))
            for word, count in about.items():
                await filtered(console, word, count)
            rows = await filtered(console, 'task:"harbour of ostrey"', of_title)
            assert {row.title for row in rows} == {"Harbour of Ostrey"}
            best = [row for row in rows if (row.reward_mean or 0.0) > 0.4]
            assert await filtered(console, 'task:"harbour of ostrey" reward>0.4 -state:refused', len(best)) == best
            await filtered(console, "imported:1 round:1", 250)
            await filtered(console, "imported:0", 0)

    run(flow())


def test_one_of_them_is_read_whole(published: Workspace, said: dict[str, Any]) -> None:
    texts = {one["text"].strip() for article in said["articles"] for one in article["completions"]}

    async def flow() -> None:
        async with drive(published, size=(200, 60)) as console:
            await all_in_review(console)
            for place in (0, 1, 100, 249):
                console.review.table.move_to(place)
                row = rows_of(console)[place]
                shown = await read(console, row.id)
                assert shown.whole.candidate.completion.strip() in texts
                assert len(shown.others) == 5
                assert f"{row.reward_mean:+.3f}" in console.shown()
            await console.press("enter")
            await console.until(lambda: console.review.pane.has_focus)
            await console.press("G")
            await console.until(lambda: "the model of the published run" in console.shown())

    run(flow())


def test_decisions_about_them_are_refused_before_the_reason_dialog(published: Workspace) -> None:
    async def flow() -> None:
        async with drive(published) as console:
            await all_in_review(console)
            for key in ("A", "x", "d", "e", "t"):
                await console.press(key)
                await console.until(lambda: "It is imported, so it cannot be decided on" in console.said, key)
                assert len(console.app.screen_stack) == 1
                console.app.clear_notifications()
            await console.press("space", "space", "space")
            await console.until(lambda: "3 marked" in console.shown())
            await console.press("x")
            await console.until(lambda: "It is imported" in console.said)
            assert len(console.app.screen_stack) == 1
            ids = [row.id for row in rows_of(console)]
        db = open_database(published.database_file)
        assert [decisions_of(db, one) for one in ids[:5]] == [[]] * 5
        assert list_jobs(db) == []
        db.conn.close()

    run(flow())


def test_among_marked_ones_those_of_ones_own_are_decided(published: Workspace) -> None:
    maker = CandidateMaker.begin(published)
    own = maker.examined(0.99)

    async def flow() -> None:
        async with drive(published) as console:
            await console.in_review()
            await console.press("v")
            await console.until(lambda: len(console.review.table.keys) == 251)
            await console.press("g", "space", "space", "space")
            await console.press("x")
            await console.until(lambda: isinstance(console.app.screen, ConfirmDialog))
            assert "2 of 3 cannot be rejected and are left out." in console.said
            assert "Reject this self-edit?" in console.shown()
            await console.type("wrong")
            await console.press("ctrl+s")
            await console.until(lambda: "1 rejected" in console.said)

    run(flow())
    (decision,) = decisions_of(maker.db, own.id)
    maker.db.conn.close()
    assert (decision.action, decision.reason) == ("reject", "wrong")


def test_the_round_and_its_tasks_have_the_published_figures(published: Workspace, said: dict[str, Any]) -> None:
    async def flow() -> None:
        async with drive(published, size=(200, 60)) as console:
            await console.press("4")
            await console.until(lambda: "round 1: 250 candidates" in console.shown())
            screen = console.app.screen
            assert isinstance(screen, RoundsScreen)
            report = screen.query_one("#report", DetailPane)
            await console.until(lambda: report.text is not None and "imported" in report.text.plain)
            assert report.text is not None
            assert f"mean {said['overall']['mean_gain']:+.3f}" in report.text.plain
            assert "rank_iter0.json" in report.text.plain
            assert len(screen.candidates.keys) == 250
            await console.press("5")
            await console.until(lambda: "50 tasks by weakness" in console.shown())
            tasks = console.app.screen
            assert isinstance(tasks, TasksScreen)
            first = said["articles"][0]
            tasks.put_filter(f'title:"{first["title"]}"')
            titled = [one for one in said["articles"] if one["title"] == first["title"]]
            await console.until(lambda: len(tasks.table.keys) == len(titled))
            await console.until(
                lambda: (text := tasks.query_one(DetailPane).text) is not None and first["title"] in text.plain
            )

    run(flow())


def test_what_the_table_shows_is_exported_row_by_row(published: Workspace, tmp_path: Path) -> None:
    exported: list[QueueRow] = []

    async def export(console: ConsoleDriver, name: str, count: int) -> None:
        await console.press("w")
        await console.until(lambda: isinstance(console.app.screen, ExportDialog))
        await console.press("ctrl+u", "ctrl+k")
        await console.type(name)
        await console.press("enter")
        await console.until(lambda: f"{count:,} rows written" in console.said)

    async def flow() -> None:
        async with drive(published) as console:
            await all_in_review(console)
            exported.extend(rows_of(console))
            await export(console, "all.csv", 250)
            good = await filtered(console, "reward>0.5", sum((row.reward_mean or 0.0) > 0.5 for row in exported))
            await export(console, "good.json", len(good))

    run(flow())
    with (tmp_path / "all.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [row.id for row in exported]
    assert [float(row["reward_mean"]) for row in rows] == [row.reward_mean for row in exported]
    good = json.loads((tmp_path / "good.json").read_text(encoding="utf-8"))
    assert [row["id"] for row in good] == [row.id for row in exported if (row.reward_mean or 0.0) > 0.5]
