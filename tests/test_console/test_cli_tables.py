from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

import pytest

from store.candidates import reject

if TYPE_CHECKING:
    from pathlib import Path

    from tests.test_console.cli_scenario import CandidateMaker, CliCaller


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_the_queue_can_be_filtered_sorted_and_complete(maker: CandidateMaker, call: CliCaller) -> None:
    low, high = maker.examined(0.2), maker.examined(0.8)
    gone = maker.examined(0.5)
    reject(maker.db, gone.id, "ada", "wrong")
    called = call("export", "table", "review")
    assert [row["id"] for row in table(called.out)] == [high.id, low.id]
    assert "2 rows → stdout" in called.err
    assert [row["id"] for row in table(call("export", "table", "review", "--reverse").out)] == [low.id, high.id]
    assert [row["id"] for row in table(call("export", "table", "review", "--filter", "reward<0.5").out)] == [low.id]
    assert {row["state"] for row in table(call("export", "table", "review", "--all").out)} == {"examined", "rejected"}
    (first, _) = call("export", "table", "review", "--json").objects
    assert (first["id"], first["reward_mean"]) == (high.id, 0.8)


def test_every_table_can_be_written_to_a_file(maker: CandidateMaker, call: CliCaller, tmp_path: Path) -> None:
    one = maker.examined(0.9)
    assert call("review", "accept", one.id, "--reason", "good").code == 0
    counts = {}
    for name in ("review", "versions", "rounds", "candidates", "tasks", "events"):
        called = call("export", "table", name, "--out", str(tmp_path / f"{name}.json"), "--json")
        assert called.code == 0, called.err
        rows = json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))
        (said,) = called.objects
        assert said["rows"] == len(rows)
        counts[name] = len(rows)
    assert counts.pop("events") > 3
    assert counts == {"review": 0, "versions": 2, "rounds": 1, "candidates": 1, "tasks": 1}
    again = call("export", "table", "tasks", "--out", str(tmp_path / "tasks.json"))
    assert again.code == 2
    assert "not overwritten" in again.err


@pytest.mark.parametrize("name", ["review", "tasks"])
def test_a_table_is_sorted_by_each_of_its_columns(maker: CandidateMaker, call: CliCaller, name: str) -> None:
    maker.examined(0.2)
    maker.examined(0.8)
    columns = call("export", "table", name).out.splitlines()[0].split(",")
    for column in columns:
        called = call("export", "table", name, "--sort", column)
        assert called.code == 0, called.err
        backwards = call("export", "table", name, "--sort", column, "--reverse")
        assert table(backwards.out) == table(called.out)[::-1]


def test_an_unknown_column_is_answered_with_a_command(call: CliCaller, workspace: object) -> None:
    del workspace
    called = call("export", "table", "tasks", "--sort", "best_rewrad")
    assert called.code == 2
    assert "columns: weakness, best reward" in called.err
    assert "Try: seal-console export table tasks --sort best_reward" in called.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("rounds", "--sort", "x"), "one order only"),
        (("versions", "--reverse"), "one order only"),
        (("review", "--sort", "size"), "reward, audit"),
        (("review", "--filter", "size>1"), "Unknown field 'size'"),
        (("rounds", "--filter", "x"), "has no filter"),
        (("tasks", "--all"), "for the table review"),
        (("tasks", "--round", "1"), "for the table candidates"),
        (("candidates", "--round", "7"), "7"),
        (("candidates",), "No round has run yet"),
    ],
)
def test_what_a_table_cannot_do_is_reported(
    call: CliCaller, workspace: object, arguments: tuple[str, ...], said: str
) -> None:
    del workspace
    called = call("export", "table", *arguments)
    assert called.code == 2
    assert said in called.err


def test_two_versions_are_compared_as_text_and_as_data(maker: CandidateMaker, call: CliCaller) -> None:
    one = maker.examined(0.9)
    assert call("review", "accept", one.id, "--reason", "first [2J").code == 0
    two = maker.examined(0.4, live_version=1)
    assert call("review", "accept", two.id, "--reason", "second").code == 0
    text = call("versions", "compare", "v0001", "v0002").out
    assert "both right" in text
    assert "Euclidean distance" in text
    assert "first [2J" in text
    (data,) = call("versions", "compare", "v0000", "v0002", "--json").objects
    assert (data["first"]["version"], data["second"]["version"]) == ("v0000", "v0002")
    assert data["weights"] is None
    assert "no adapter" in data["no_weights_because"]
    assert all(answer["second"]["correct"] for answer in data["answers"])


def test_what_cannot_be_compared_is_reported(call: CliCaller, workspace: object) -> None:
    del workspace
    assert "only versions are compared" in call("versions", "compare", "p0001", "v0001").err
    missing = call("versions", "compare", "v0000", "v0009")
    assert missing.code == 2
    assert "v0009" in missing.err
