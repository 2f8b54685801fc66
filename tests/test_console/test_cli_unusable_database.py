"""Commands in a workspace whose database is missing, damaged, locked or read-only."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from store.workspace import Workspace
    from tests.test_console.cli_scenario import CandidateMaker, CliCaller

READING = (
    ["info"],
    ["verify"],
    ["review", "list"],
    ["versions", "list"],
    ["tasks", "list"],
    ["export", "table", "tasks"],
)
WRITING = (
    ["run"],
    ["review", "accept", "abc", "--reason", "x"],
    ["tasks", "add"],
    ["stop"],
    ["rounds", "abandon", "1"],
)


@pytest.mark.parametrize("words", READING)
def test_a_missing_database_is_named_and_not_made_anew(workspace: Workspace, call: CliCaller, words: list[str]) -> None:
    for file in workspace.root.glob("seal.db*"):
        file.unlink()
    called = call(*words)
    assert called.code == 1
    assert f"{workspace.database_file} is missing" in called.err
    assert "seal-console init DIR" in called.err
    assert "Unexpected" not in called.err
    assert not workspace.database_file.exists()


@pytest.mark.parametrize("words", READING)
def test_a_damaged_database_is_named_with_the_advice_to_restore_it(
    maker: CandidateMaker, call: CliCaller, words: list[str]
) -> None:
    maker.db.conn.close()
    path = maker.workspace.database_file
    path.write_bytes(b"hello " * 10_000)
    called = call(*words)
    assert called.code == 1
    assert f"{path} is damaged: file is not a database" in called.err
    assert "Restore seal.db from a backup" in called.err
    assert "Unexpected" not in called.err


def test_verify_finds_damage_inside_the_database_and_still_checks_git(maker: CandidateMaker, call: CliCaller) -> None:
    maker.examined(0.5)
    path = maker.workspace.database_file
    [[page, size]] = maker.db.conn.execute(
        "SELECT rootpage, (SELECT * FROM pragma_page_size) FROM sqlite_schema WHERE name = 'answers'"
    ).fetchall()
    maker.db.conn.close()
    content = bytearray(path.read_bytes())
    content[(page - 1) * size : page * size] = b"\xff" * size
    path.write_bytes(content)
    (found,) = call("verify", "--json").objects[:1]
    assert not found["ok"]
    assert found["checked"]["git objects"] == 1
    assert any("malformed" in problem or "database:" in problem for problem in found["problems"])
    shown = call("review", "show", "sha256:01cc")
    assert (shown.code, "is damaged" in shown.err, "Unexpected" in shown.err) == (1, True, False)


def test_a_locked_database_is_exit_code_5(
    workspace: Workspace, call: CliCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.database.BUSY_TIMEOUT_MS", 50)
    other = sqlite3.connect(workspace.database_file, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    called = call("info")
    other.close()
    assert (called.code, "is locked by another process" in called.err, "backup" in called.err) == (5, True, False)


@pytest.mark.parametrize("words", READING)
def test_a_read_only_workspace_can_be_read(
    maker: CandidateMaker, call: CliCaller, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setattr("store.workspace.is_writable", lambda _: False)
    monkeypatch.setattr("seal_console.cli.workspace_session.is_writable", lambda _: False)
    called = call(*words)
    assert called.code == 0
    assert f"{maker.workspace.root} is read-only: it is shown as it is" in called.err


@pytest.mark.parametrize("words", WRITING)
def test_a_read_only_workspace_cannot_be_changed(
    workspace: Workspace, call: CliCaller, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setattr("store.workspace.is_writable", lambda _: False)
    called = call(*words, *(["--reason", "x"] if words[0] == "rounds" else []))
    assert called.code == 1
    assert f"{workspace.root} is read-only, so nothing can be changed" in called.err
    assert "backup" not in called.err


@pytest.mark.parametrize(
    ("sql", "words", "named"),
    [
        (
            "UPDATE gates SET evidence = 'not json'",
            ["review", "show", "sha256:01cc"],
            "table gates, candidate_id sha256:01",
        ),
        ("UPDATE candidates SET sampling = 'x'", ["review", "list"], "column sampling: not JSON"),
        (
            "UPDATE candidates SET sampling = 'x'",
            ["review", "reject", "sha256:01cc", "--reason", "x"],
            "column sampling",
        ),
        ("UPDATE rounds SET settings = 'x'", ["export", "table", "rounds"], "table rounds, number 1, column settings"),
        ("UPDATE inner_updates SET losses = 'x'", ["review", "show", "sha256:01cc"], "column losses: not JSON"),
    ],
)
def test_an_unreadable_row_is_named(
    maker: CandidateMaker, call: CliCaller, sql: str, words: list[str], named: str
) -> None:
    maker.examined(0.5)
    maker.db.conn.execute(sql)
    called = call(*words)
    assert called.code == 1
    assert named in called.err
    assert "seal-console verify lists" in called.err
    assert "report" not in called.err
