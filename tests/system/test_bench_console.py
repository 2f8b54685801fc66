"""The bench of the console over a small store: that is whole, all figures are there, the engine stops afterwards."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from seal_console.lab.measure_console import ConsoleBenchEffort, bench_console
from store.database import fetch, open_database
from store.events import verify_chain
from store.lock import lock_owner
from store.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

EFFORT = ConsoleBenchEffort(candidates=400, events=20, keys=7, starts=1)


def test_every_key_is_timed_with_and_without_an_engine_over_a_whole_store(tmp_path: Path) -> None:
    folder, out, said = tmp_path / "store", tmp_path / "figures.json", list[str]()
    result = bench_console(EFFORT, keep=folder, out=out, narrate=said.append)
    assert json.loads(out.read_text(encoding="utf-8")) == result
    assert said[-2:] == ["keys, no engine", "keys, while a round runs"]
    assert min(result["first_paint"]["start_to_paint_s"]) > 0
    for figures in result["keys"].values():
        for kind in ("screens", "review_down", "review_page"):
            assert 0 < figures[kind]["p50_ms"] <= figures[kind]["p95_ms"] <= figures[kind]["worst_ms"]
            assert len(figures[kind]["ms"]) == EFFORT.keys
    assert result["keys"]["round_runs"]["engine_still_ran"]
    _is_whole(Workspace(folder))


def _is_whole(workspace: Workspace) -> None:
    assert lock_owner(workspace.lock_file) is None
    db = open_database(workspace.database_file)
    try:
        (made,) = fetch(db, "SELECT count(*) AS n FROM candidates WHERE round_number = 1")
        (answered,) = fetch(db, "SELECT count(DISTINCT candidate_id) AS n FROM answers WHERE candidate_id IS NOT NULL")
        assert made["n"] == EFFORT.candidates <= answered["n"]
        assert not list(db.execute("PRAGMA foreign_key_check"))
        assert verify_chain(db) is None
    finally:
        db.conn.close()
