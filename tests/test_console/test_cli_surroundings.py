"""What a shell can do to a command: encodings, names of files, a deleted folder, closed streams, narrow terminals."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.runtime.child_environment import child_environment
from seal_console.web_server import make_server
from store.candidates import get_candidate
from store.errors import WrongUseError
from tests.test_console.cli_scenario import CandidateMaker, CliCaller, make_task

if TYPE_CHECKING:
    from store.workspace import Workspace

ENCODINGS = [
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "latin-1"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
]


def command(workspace: Workspace, *words: str, **more: str) -> tuple[int, str, str]:
    environment = {**child_environment(), "COLUMNS": "120", **more}
    environment.pop("PYTHONWARNINGS", None)
    finished = subprocess.run(
        [sys.executable, "-m", "seal_console", "-w", str(workspace.root), *words],
        env=environment, capture_output=True, check=False,
    )  # fmt: skip
    return finished.returncode, finished.stdout.decode("latin-1"), finished.stderr.decode("latin-1")


@pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda one: ",".join(one.values()))
def test_no_encoding_makes_a_command_fail(workspace: Workspace, encoding: dict[str, str]) -> None:
    maker = CandidateMaker.begin(workspace, make_task("東京 → Zürich"))
    candidate = maker.examined(0.5, completion="Es dauert 30 Tage, in 東京 “auch” …")
    for words in (
        ("tasks", "list"), ("review", "list"), ("review", "show", candidate.id),
        ("review", "accept", candidate.id, "--reason", "ja – gut, ✓ 東京"), ("versions", "list"),
        ("versions", "show", "v0001"), ("rounds", "list"), ("info",), ("verify",), ("--help",), ("run", "--help"),
    ):  # fmt: skip
        code, out, err = command(workspace, *words, **encoding)
        assert code == 0, (words, err)
        assert "Error" not in err
        assert out
    assert get_candidate(maker.db, candidate.id).state == "accepted"
    maker.db.conn.close()
    _, out, _ = command(workspace, "tasks", "list", **encoding)
    assert "? -> Z" in out
    code, out, _ = command(workspace, "tasks", "list", "--json", **encoding)
    assert json.loads(out)["title"] == "東京 → Zürich"


def test_a_narrow_dumb_terminal_gets_no_escape_codes(workspace: Workspace) -> None:
    CandidateMaker.begin(workspace).db.conn.close()
    for words in ((), ("tasks", "list"), ("info",), ("verify",), ("rounds", "list"), ("review", "list"), ("--help",)):
        code, out, err = command(workspace, *words, TERM="dumb", COLUMNS="20")
        assert code in {0, 3}, (words, err)
        assert "\x1b" not in out + err


@pytest.mark.parametrize("name", [b"bad\xff.yaml", b"bad\xff.md"])
def test_names_of_files_need_not_be_utf8(workspace: Workspace, call: CliCaller, name: bytes) -> None:
    folder = os.fsencode(workspace.tasks_folder)
    questions = "questions: [{question: 'Who?', answers: [Zoë]}]\n"
    if name.endswith(b".md"):
        Path(os.fsdecode(folder + b"/bad\xff.questions.yaml")).write_text(
            questions.partition(": ")[2], encoding="utf-8"
        )
        Path(os.fsdecode(folder + b"/" + name)).write_text("Zoë was it.\n", encoding="utf-8")
    else:
        Path(os.fsdecode(folder + b"/" + name)).write_text("title: T\ncontext: C\n" + questions, encoding="utf-8")
    assert call("tasks", "check").code == 0
    added = call("tasks", "add")
    assert (added.code, added.err) == (0, "")
    (listed,) = call("tasks", "list", "--json").objects
    assert listed["source"].startswith("tasks/bad⟨U+DCFF⟩.")
    assert call("verify").code == 0
    assert call("tasks", "add").code == 3


def test_a_deleted_current_folder_is_named(workspace: Workspace, tmp_path: Path) -> None:
    for words, code in (
        (["-w", "w", "info"], 2),
        (["init", "x"], 2),
        (["info"], 2),
        (["-w", str(workspace.root), "info"], 0),
    ):
        script = f'mkdir {tmp_path}/gone; cd {tmp_path}/gone; rmdir {tmp_path}/gone; exec "$@"'
        finished = subprocess.run(
            ["/bin/sh", "-c", script, "sh", sys.executable, "-m", "seal_console", *words],
            env=child_environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert finished.returncode == code, (words, finished.stderr)
        assert ("The current folder no longer exists." in finished.stderr) == bool(code)
        assert "Traceback" not in finished.stderr


def test_names_that_cannot_be_a_workspace_are_refused(
    call: CliCaller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.touch()
    for name, why in ((str(file), "is a file, not a folder"), ("a" * 5000, "too long"), ("a/" * 3000, "too long")):
        for words in (("info",), ("verify",), ("run",), ("tasks", "list"), ("web",)):
            refused = call("-w", name, *words)
            assert (refused.code, refused.err.count("-w names no workspace")) == (2, 1), words
            assert why in refused.err
            assert len(refused.err) < 400 + len(str(tmp_path))
    monkeypatch.setenv("SEAL_WORKSPACE", str(file))
    assert "SEAL_WORKSPACE names no workspace" in call("verify").err


def test_at_most_twenty_problems_are_listed(workspace: Workspace, call: CliCaller) -> None:
    for number in range(25):
        (workspace.tasks_folder / f"{number:02}.yaml").write_text("title: x\n", encoding="utf-8")
    refused = call("tasks", "check")
    assert refused.code == 2
    assert refused.err.count("  • ") == 20
    assert "  and 30 more; --json lists all" in refused.err
    (data,) = call("tasks", "check", "--json").objects
    assert len(data["error"]["problems"]) == 50
    for number in range(10, 25):
        (workspace.tasks_folder / f"{number:02}.yaml").unlink()
    exactly = call("tasks", "check")
    assert (exactly.err.count("  • "), "more;" in exactly.err) == (20, False)


@pytest.mark.parametrize("folder", ["/dev/null/x", "/proc/x"])
def test_a_workspace_where_no_folder_can_be_made_is_refused(call: CliCaller, folder: str) -> None:
    called = call("init", folder)
    assert called.code == 2
    assert f"{folder} cannot be made: " in called.err
    assert "report" not in called.err


def test_a_model_that_is_named_on_the_command_line_is_not_called_a_setting(call: CliCaller, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    called = call("init", tmp_path / "w", "--model", tmp_path / "model")
    assert called.code == 2
    assert called.err.startswith(f"{tmp_path / 'model'} is not a model folder")
    assert "name 'bundled' or a local folder" in called.err
    for said in ("model.path", "seal.yaml"):
        assert said not in called.err


def test_a_whole_number_is_asked_for_by_that_name(call: CliCaller) -> None:
    called = call("run", "--rounds", "abc")
    assert "'abc' is not a whole number" in called.err


@pytest.mark.parametrize(
    ("written", "meant"),
    [("acept", "review accept"), ("rollbak", "versions rollback"), ("exprot", "export"), ("reviw", "review")],
)
def test_an_unknown_command_names_the_nearest_also_inside_groups(call: CliCaller, written: str, meant: str) -> None:
    assert f"did you mean '{meant}'?" in call(written, "x").err


def test_an_address_of_another_machine_is_not_blamed_on_the_port() -> None:
    for host in ("192.0.2.1", "no-such-host.invalid"):
        with pytest.raises(WrongUseError, match=f"{host} is not an address of this machine") as refused:
            make_server("true", host, 8000, token=None, most_visitors=1)
        assert "--host" in refused.value.next_step
        assert "--port" not in refused.value.next_step
