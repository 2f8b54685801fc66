"""What `verify` says beyond "everything matches": an end of the log to keep, notes, changed schemas, others at work."""

from __future__ import annotations

import sqlite3
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

import store.verify
from store.log_head import head_file
from store.version_rows import live_version

if TYPE_CHECKING:
    from collections.abc import Callable

    from store.verify import VerifyReport
    from store.workspace import Workspace
    from tests.test_console.cli_scenario import CandidateMaker, CliCaller


def test_the_end_of_the_log_can_be_kept_elsewhere(maker: CandidateMaker, call: CliCaller) -> None:
    (decided,) = call("review", "reject", maker.examined().id, "--reason", "wrong", "--json").objects
    noted = decided["log_head"]["hash"]
    assert noted in call("verify").out
    call("review", "reject", maker.examined().id, "--reason", "wrong")
    (checked,) = call("verify", "--since", noted, "--json").objects
    assert checked["ok"] is True
    assert checked["log_head"]["sequence"] > decided["log_head"]["sequence"]
    assert checked["not_vouched_for"][0].startswith(f"Events {decided['log_head']['sequence'] + 1} to ")
    other = call("verify", "--since", "0123456789abcdef" * 4)
    assert other.code == 1
    assert "the log was cut or rewritten after that was noted" in other.err
    assert call("verify", "--since", "yesterday").code == 2


def test_a_lost_end_of_the_log_and_its_way_out(maker: CandidateMaker, call: CliCaller, workspace: Workspace) -> None:
    head = head_file(workspace.database_file)
    candidate = maker.examined()
    before = head.read_text()
    head.write_text(before.replace('"sequence": ', '"sequence": 9'))
    (checked,) = call("verify", "--json").objects[:1]
    [problem] = checked["problems"]
    assert problem.endswith(f"rm {head}")
    refused = call("review", "reject", candidate.id, "--reason", "wrong")
    assert refused.code == 1
    assert f"rm {head}" in refused.err
    head.unlink()
    assert call("review", "reject", candidate.id, "--reason", "wrong").code == 0
    assert call("verify").code == 0


def test_a_changed_file_of_the_version_and_its_way_out(
    versions: CandidateMaker, call: CliCaller, workspace: Workspace
) -> None:
    assert live_version(versions.db) == 2
    (workspace.adapters_folder / "README.md").write_text("mine")
    checked = call("verify")
    assert checked.code == 1
    command = checked.err.rpartition("Try: ")[2].partition(" puts back")[0]
    subprocess.run(command.split(), check=True, capture_output=True)
    assert call("verify").code == 0


def test_a_planted_trigger_is_named_and_stops_every_change(
    maker: CandidateMaker, call: CliCaller, workspace: Workspace
) -> None:
    candidate = maker.examined()
    maker.db.close()
    other = sqlite3.connect(workspace.database_file)
    other.execute(
        "CREATE TRIGGER turns AFTER INSERT ON decisions "
        "BEGIN UPDATE candidates SET state = 'accepted' WHERE id = NEW.candidate_id; END"
    )
    checked = call("verify")
    assert checked.code == 1
    assert "trigger turns is not part of the schema" in checked.err
    refused = call("review", "reject", candidate.id, "--reason", "wrong")
    assert refused.code == 1
    assert "DROP TRIGGER" in refused.err
    assert other.execute("SELECT state FROM candidates").fetchall() == [("examined",)]
    other.close()


@pytest.fixture
def versions(maker: CandidateMaker, call: CliCaller) -> CandidateMaker:
    for _ in range(2):
        call("review", "accept", maker.examined().id, "--reason", "good")
    assert live_version(maker.db) == 2
    return maker


def meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[int], None]) -> None:
    """Let something happen before each check of the workspace, but after its interrupted changes were finished."""
    calls = [0]

    def check(*arguments: Any, **options: Any) -> VerifyReport:
        calls[0] += 1
        happens(calls[0])
        return store.verify.verify(*arguments, **options)

    monkeypatch.setattr("seal_console.cli.verify.verify", check)
    monkeypatch.setattr("seal_console.cli.verify._PAUSE_S", 0.0)


def checkout(workspace: Workspace, tag: str) -> None:
    subprocess.run(["git", "-C", str(workspace.adapters_folder), "checkout", "-q", tag], check=True)


def test_a_checkout_during_the_check_is_no_mismatch(
    versions: CandidateMaker, call: CliCaller, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(monkeypatch, lambda number: checkout(workspace, "v0000") if number == 1 else None)
    checked = call("verify")
    assert checked.code == 0, checked.err
    assert "v0000 (base) was checked out with git" in checked.err
    assert live_version(versions.db) is None


def test_checkouts_that_never_end_are_said(
    versions: CandidateMaker, call: CliCaller, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert live_version(versions.db) == 2
    meanwhile(monkeypatch, lambda number: checkout(workspace, f"v000{number % 2}"))
    checked = call("verify")
    assert checked.code == 5
    assert "while it is checked" in checked.err
