from __future__ import annotations

import csv
import io
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seal_console.table_files import FORMULA_SIGNS, in_batches, suggested_path, write_table
from store.errors import WrongUseError

if TYPE_CHECKING:
    from store.workspace import Workspace

ROWS = [("=1+1", -0.5, None, True), ("plain, with comma", 2, "-minus", False)]
HEADERS = ("text", "number", "more", "flag")


def test_csv_has_no_formula_in_a_text_and_leaves_numbers_alone(tmp_path: Path) -> None:
    assert write_table(tmp_path / "new" / "t.csv", HEADERS, ROWS) == 2
    rows = list(csv.reader((tmp_path / "new" / "t.csv").read_text(encoding="utf-8").splitlines()))
    assert rows == [list(HEADERS), ["'=1+1", "-0.5", "", "true"], ["plain, with comma", "2", "'-minus", "false"]]


def test_json_has_every_value_as_it_is(tmp_path: Path) -> None:
    hostile = [("=1\x1b[2J\x7f\u202e\n", 0.1, None, True)]
    write_table(tmp_path / "t.json", HEADERS, hostile)
    text = (tmp_path / "t.json").read_text(encoding="utf-8")
    assert json.loads(text) == [dict(zip(HEADERS, hostile[0], strict=True))]
    assert not set("\x1b\x7f\u202e") & set(text)
    write_table(tmp_path / "none.json", HEADERS, [])
    assert json.loads((tmp_path / "none.json").read_text(encoding="utf-8")) == []


@given(st.lists(st.text(max_size=20), min_size=1, max_size=4))
def test_no_text_of_a_csv_file_is_a_formula_or_moves_the_cursor(texts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_table(Path(folder) / "t.csv", [f"c{n}" for n in range(len(texts))], [texts])
        content = (Path(folder) / "t.csv").read_bytes().decode("utf-8")
    _, row = csv.reader(io.StringIO(content, newline=""))
    assert len(row) == len(texts)
    assert not any(cell.startswith(FORMULA_SIGNS) for cell in row)
    assert "\x1b" not in content


def test_another_ending_and_a_file_that_is_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongUseError, match=r"does not end in \.csv or \.json"):
        write_table(tmp_path / "t.xls", HEADERS, ROWS)
    (tmp_path / "t.csv").write_text("mine", encoding="utf-8")
    with pytest.raises(WrongUseError, match="not overwritten"):
        write_table(tmp_path / "t.csv", HEADERS, ROWS)
    assert (tmp_path / "t.csv").read_text(encoding="utf-8") == "mine"
    with pytest.raises(WrongUseError, match="cannot be written"):
        write_table(tmp_path / "t.csv" / "t.csv", HEADERS, ROWS)


def test_a_failure_half_way_leaves_no_file(tmp_path: Path) -> None:
    def rows() -> list[tuple[object, ...]]:
        raise RuntimeError("gone")

    with pytest.raises(RuntimeError):
        write_table(tmp_path / "t.csv", HEADERS, (row for row in rows()))  # type: ignore[misc]
    assert list(tmp_path.iterdir()) == []


def test_the_suggested_path_is_in_the_workspace(workspace: Workspace) -> None:
    path = suggested_path(workspace, "tasks")
    assert path.parent == workspace.root / "exports"
    assert path.name.startswith("tasks-2")
    assert path.suffix == ".csv"


def test_batches_hold_all_keys_in_their_order() -> None:
    assert [list(part) for part in in_batches(range(5), 2)] == [[0, 1], [2, 3], [4]]
