"""What was done is never reported as failed: failures after git has changed, and after the change is recorded."""

from __future__ import annotations

import errno
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from engine.loop.accept import accept_best
from engine.settings.sections import AcceptanceSettings
from seal_console.cli import review as review_commands
from seal_console.cli import versions as version_commands
from store import versions
from store.repository import Repository
from store.rounds import get_round
from store.verify import verify
from store.version_rows import list_moves, live_version

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.test_console.cli_scenario import CandidateMaker, CliCaller

FULL = OSError(errno.ENOSPC, "No space left on device")


def failing(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


def accept(call: CliCaller, candidate_id: str, *more: str) -> Any:
    return call("review", "accept", candidate_id, "--reason", "good", *more)


@pytest.mark.parametrize(
    ("broken_step", "error"),
    [
        ((Repository, "checkout_live"), FULL),
        ((versions, "record_acceptance"), FULL),
        ((versions, "record_acceptance"), sqlite3.OperationalError("disk I/O error")),
        ((versions, "close_intent"), sqlite3.OperationalError("database or disk is full")),
    ],
)
def test_an_acceptance_that_git_has_is_done(
    maker: CandidateMaker,
    call: CliCaller,
    monkeypatch: pytest.MonkeyPatch,
    broken_step: tuple[Any, str],
    error: Exception,
) -> None:
    candidate = maker.examined(0.5)
    with monkeypatch.context() as broken:
        broken.setattr(*broken_step, failing(error))
        called = accept(call, candidate.id)
    assert called.code == 0
    assert "Done, but not everywhere: v0001 is live: git has it" in called.err
    assert "not made" not in called.err
    assert "Stored data is safe" not in called.err
    assert "seal-console verify records it" in called.err
    assert call("verify").code == 0
    assert live_version(maker.db) == 1
    assert len(list_moves(maker.db)) == 1


def test_a_rollback_that_git_has_is_done(
    maker: CandidateMaker, call: CliCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert accept(call, maker.examined(0.5).id).code == 0
    with monkeypatch.context() as broken:
        broken.setattr(versions, "record_move", failing(FULL))
        called = call("versions", "rollback", "v0000", "--reason", "worse", "--json")
    assert called.code == 0
    assert "v0000 (base) is live: git has it" in called.objects[0]["warning"]["message"]
    assert call("verify").code == 0
    assert live_version(maker.db) is None


@pytest.mark.parametrize("module", [review_commands, version_commands])
def test_what_fails_after_the_record_is_a_warning(
    maker: CandidateMaker, call: CliCaller, monkeypatch: pytest.MonkeyPatch, module: Any
) -> None:
    if module is version_commands:
        assert accept(call, maker.examined(0.5).id).code == 0
    else:
        candidate = maker.examined(0.5)
    with monkeypatch.context() as broken:
        broken.setattr(module, "head_as_json", failing(FULL))
        words = ("versions", "rollback", "v0000", "--reason", "worse")
        called = call(*words) if module is version_commands else accept(call, candidate.id)
    assert (called.code, "Done; something failed afterwards" in called.err) == (0, True)
    assert verify(maker.workspace, maker.db).problems == []


def test_what_fails_before_git_has_changed_is_a_failure(
    maker: CandidateMaker, call: CliCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate = maker.examined(0.5)
    with monkeypatch.context() as broken:
        broken.setattr(Repository, "move_refs", failing(FULL))
        called = accept(call, candidate.id)
    assert (called.code, "This change was not made" in called.err) == (1, True)
    assert accept(call, candidate.id).code == 0


def test_an_acceptance_whose_files_cannot_be_removed_is_done(
    maker: CandidateMaker, call: CliCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate = maker.examined(0.5)
    with monkeypatch.context() as broken:
        broken.setattr(versions, "remove", failing(FULL))
        called = accept(call, candidate.id)
    assert called.code == 0
    assert "No space" not in called.err


def test_automatic_acceptance_says_that_it_is_done(maker: CandidateMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    current = get_round(maker.db, maker.examined(0.5).round_number)
    monkeypatch.setattr(versions, "record_acceptance", failing(FULL))
    done = accept_best(maker.workspace, maker.db, current, AcceptanceSettings(automatic=True))
    assert done is not None
    assert done.said.startswith("Accepted automatically, but v0001 is live: git has it")
    assert done.version == "v0001"
