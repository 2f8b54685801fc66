"""Runs whose time is up: what has finished is in the review queue, and the next run comes to the same end."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from engine.loop.session import open_session
from engine.loop.timed_run import run_timed
from engine.runtime.deadline import Deadline
from store.candidates import list_candidates
from store.database import fetch_value, open_database
from store.review_queue import count_waiting
from store.rounds import list_rounds
from store.verify import verify
from tests.system.workspaces import last_word, small_workspace, start_worker

if TYPE_CHECKING:
    from pathlib import Path

    from store.workspace import Workspace


class RowClock:
    """Shows how many rows of a table are recorded, so that a test can say after which of them the time is up."""

    def __init__(self, workspace: Workspace, rows: str = "inner_updates") -> None:
        self._file, self._rows = workspace.database_file, rows

    def __call__(self) -> float:
        with closing(open_database(self._file)) as db:
            return float(fetch_value(db, f"SELECT count(*) FROM {self._rows}"))  # noqa: S608


def prepared(folder: Path, racing: str = "exact") -> Workspace:
    workspace = small_workspace(folder, pages=4, train=3, held_out=1, per_task=2, epochs=3, repeats=2)
    settings = yaml.safe_load(workspace.settings_file.read_text(encoding="utf-8"))
    settings["round"] |= {"selection": "paper", "racing": racing}
    settings["protection"] = {"curvature": False}
    workspace.settings_file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return workspace


def run(workspace: Workspace, deadline: Deadline | None, rounds: int = 1) -> dict[str, Any]:
    with open_session(workspace, "test") as session:
        session.deadline = deadline
        return run_timed(session, rounds)


def outcome(workspace: Workspace) -> list[Any]:
    with closing(open_database(workspace.database_file)) as db:
        assert verify(workspace, db).problems == []
        [done] = list_rounds(db)
        assert done.summary is not None
        measured = [(one.id, one.state, one.reward_mean, one.adapter_hash) for one in list_candidates(db)]
        return [done.state, done.summary["kept"], done.summary["held_out"], measured]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Any], float]:
    """What the round comes to, and how many inner updates it records."""
    workspace = prepared(tmp_path_factory.mktemp("undisturbed") / "w")
    result = run(workspace, Deadline(float("inf"), RowClock(workspace)))
    assert result["time_up"] is None
    return outcome(workspace), RowClock(workspace)()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.8])
def test_a_run_whose_time_is_up_is_resumed_to_the_same_end(
    tmp_path: Path, undisturbed: tuple[list[Any], float], share: float
) -> None:
    expected, updates = undisturbed
    workspace = prepared(tmp_path / "w")
    ended = run(workspace, Deadline(share * updates, RowClock(workspace)))
    assert ended["rounds"] == []
    time_up = ended["time_up"]
    with closing(open_database(workspace.database_file)) as db:
        assert verify(workspace, db).problems == []
        assert [one.state for one in list_rounds(db)] == ([] if share == 0 else ["interrupted"])
        assert time_up["round"] == (None if share == 0 else 1)
        examined = [one for one in list_candidates(db, role="train") if one.state == "examined"]
        assert time_up["evaluated"] == len(examined)
        assert count_waiting(db) >= len(examined)
    assert run(workspace, None)["time_up"] is None
    assert outcome(workspace) == expected


def test_rounds_that_no_longer_fit_are_not_begun(tmp_path: Path, undisturbed: tuple[list[Any], float]) -> None:
    workspace = prepared(tmp_path / "w")
    finished = RowClock(workspace, "rounds WHERE finished_at IS NOT NULL")
    ended = run(workspace, Deadline(1.0, finished), rounds=3)
    assert len(ended["rounds"]) == 1
    assert ended["time_up"]["said"].endswith(": 1 of 3 rounds finished.")
    assert outcome(workspace) == undisturbed[0]


def test_the_engine_is_told_when_to_end(tmp_path: Path) -> None:
    workspace = prepared(tmp_path / "w")
    status, message = last_word(start_worker("run", {"workspace": str(workspace.root), "rounds": 1, "until": 1.0}))
    assert status == 0
    assert message["result"]["time_up"]["until"] == "1970-01-01T00:00:01.000Z"
    assert message["result"]["rounds"] == []
