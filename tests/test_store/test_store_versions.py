from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from store.adapter_files import hash_adapter
from store.candidates import decisions_of, defer, get_candidate, reject
from store.database import transaction
from store.errors import LockedError, NothingToDoError, WrongUseError
from store.intents import UnrecordedChangeError
from store.live_ref import sync_checkout
from store.lock import hold_lock
from store.policy_versions import add_policy_version, policy_adapter_files
from store.records import Decision, GateResult
from store.recovery import recover
from store.repository import LIVE_REF, Repository
from store.rounds import finish_round
from store.rows import to_row
from store.verify import verify
from store.version_rows import get_version, list_moves, list_policy_versions, list_versions, live_version
from store.versions import rollback, version_adapter_files

if TYPE_CHECKING:
    from pathlib import Path

    from tests.test_store.conftest import Lab

BASE = {"name": "tiny"}


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def adapter_of(lab: Lab, number: int) -> dict[str, bytes]:
    return lab.adapters[get_version(lab.db, number).candidate_id]


def test_an_accepted_candidate_is_live_tagged_and_checked_out(lab: Lab) -> None:
    candidate = lab.examined()
    version = lab.accept(candidate, reason="gains 50 %\nand more")
    folder = lab.workspace.adapters_folder
    assert (version.number, version.tag, version.parent_number) == (1, "v0001", None)
    assert live_version(lab.db) == 1
    assert git(folder, "status", "--porcelain") == ""
    assert git(folder, "branch", "--show-current") == "live"
    assert git(folder, "cat-file", "-t", "v0001") == "tag"
    assert git(folder, "log", "-1", "--format=%an|%s") == "Ada|v0001: gains 50 %"
    assert get_candidate(lab.db, candidate.id).state == "accepted"
    (move,) = list_moves(lab.db)
    assert (move.from_version, move.to_version, move.cause) == (None, 1, "accept")
    for name, content in lab.adapters[candidate.id].items():
        assert (folder / name).read_bytes() == content
    manifest = json.loads((folder / "manifest.json").read_bytes())
    assert manifest["chain_head"]["sequence"] > 0
    assert manifest["decision"]["reason"] == "gains 50 %\nand more"
    assert manifest["adapter_hash"] == hash_adapter(lab.adapters[candidate.id]) == version.adapter_hash
    weights = (folder / "adapter_model.safetensors").read_bytes()
    assert manifest["files"]["adapter_model.safetensors"] == "sha256:" + hashlib.sha256(weights).hexdigest()
    assert verify(lab.workspace, lab.db).problems == []
    assert not list(lab.workspace.cache_folder.iterdir())


def test_a_manifest_says_which_gates_only_in_review_or_noted(lab: Lab) -> None:
    candidate = lab.examined()
    held = GateResult(candidate.id, "judge", False, {}, "now", "hold")
    for gate in (held, replace(held, gate="rule:names", on_failure="note")):
        lab.db["gates"].insert(to_row(gate))
    lab.accept(candidate)
    manifest = json.loads((lab.workspace.adapters_folder / "manifest.json").read_bytes())
    said = {gate["gate"]: gate.get("on_failure", "stops") for gate in manifest["gates"]}
    assert said == {"audit": "stops", "judge": "hold", "rule:names": "note"}


def test_somebody_elses_decision_made_meanwhile_stops_the_acceptance(lab: Lab) -> None:
    candidate = lab.examined()

    def meanwhile(step: str) -> None:
        if step == "files_written":
            reject(lab.db, candidate.id, "Bo", "was first")

    with pytest.raises(WrongUseError, match=r"rejected since .* by Bo \(was first\)"):
        lab.accept(candidate, checkpoint=meanwhile)
    assert get_candidate(lab.db, candidate.id).state == "rejected"
    assert git(lab.workspace.adapters_folder, "tag") == "v0000"
    assert (live_version(lab.db), list_versions(lab.db), list_moves(lab.db)) == (None, [], [])
    assert not list(lab.workspace.cache_folder.iterdir())
    assert verify(lab.workspace, lab.db).problems == []


def test_the_card_keeps_text_of_models_in_code_blocks(lab: Lab) -> None:
    lab.accept()
    card = (lab.workspace.adapters_folder / "README.md").read_text()
    assert "\x1b" not in card
    assert "\n    # Not a heading\n" in card
    assert "{" not in card.split("## Gates")[1]
    assert "None" not in card


def test_each_version_has_the_previous_one_as_parent(lab: Lab) -> None:
    first, second = lab.accept(), lab.accept()
    assert second.parent_number == 1
    assert Repository.open(lab.workspace.adapters_folder).parents(second.commit) == [first.commit]
    assert version_adapter_files(lab.workspace, lab.db, 1) == adapter_of(lab, 1)
    assert verify(lab.workspace, lab.db).ok


def test_a_candidate_of_an_older_parent_is_refused(lab: Lab) -> None:
    stale = lab.examined()
    lab.accept()
    with pytest.raises(WrongUseError, match=r"trained on v0000 .* but v0001 is live") as caught:
        lab.accept(stale)
    assert "rollback v0000" in caught.value.next_step
    rollback(lab.workspace, lab.db, None, "Ada", "again")
    assert lab.accept(stale).number == 2
    assert verify(lab.workspace, lab.db).ok


@pytest.mark.parametrize(("actor", "reason"), [("", "why"), ("Ada", " "), (" ", "")])
def test_a_decision_needs_words(lab: Lab, actor: str, reason: str) -> None:
    candidate = lab.examined()
    with pytest.raises(WrongUseError, match="A decision needs"):
        lab.accept(candidate, actor=actor, reason=reason)
    assert list_versions(lab.db) == []


def test_a_decided_candidate_says_who_decided_when(lab: Lab) -> None:
    candidate = lab.examined()
    reject(lab.db, candidate.id, "Bob", "wrong number")
    with pytest.raises(WrongUseError, match=r"rejected since .*Z, by Bob \(wrong number\)"):
        lab.accept(candidate)


def test_a_deferred_candidate_can_be_accepted(lab: Lab) -> None:
    candidate = lab.examined()
    defer(lab.db, candidate.id, "Bob", "later")
    lab.accept(candidate)
    assert [decision.action for decision in decisions_of(lab.db, candidate.id)] == ["defer", "accept"]
    assert verify(lab.workspace, lab.db).ok


def test_proposed_and_refused_candidates_are_not_accepted(lab: Lab) -> None:
    proposed, refused = lab.propose(), lab.examine(lab.propose(), passed=False)
    lab.adapters[proposed.id] = lab.adapters[refused.id]
    with pytest.raises(WrongUseError, match="not examined yet"):
        lab.accept(proposed)
    with pytest.raises(WrongUseError, match="refused by a gate"):
        lab.accept(refused)


def test_an_adapter_that_was_not_examined_is_refused(lab: Lab) -> None:
    candidate, other = lab.examined(), lab.examined()
    lab.adapters[candidate.id] = lab.adapters[other.id]
    with pytest.raises(WrongUseError) as caught:
        lab.accept(candidate)
    assert "the examined one is" in caught.value.problems[0]


def test_accept_waits_for_nobody_forever(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.live_ref.WRITER_WAIT_S", 0.05)
    candidate = lab.examined()
    with hold_lock(lab.workspace.repository_lock_file, "other"), pytest.raises(LockedError, match="other"):
        lab.accept(candidate)


def test_rollback_moves_live_and_deletes_nothing(lab: Lab) -> None:
    lab.accept()
    lab.accept()
    move = rollback(lab.workspace, lab.db, 1, "Ada", "worse")
    folder = lab.workspace.adapters_folder
    assert (move.from_version, move.to_version, move.cause) == (2, 1, "rollback")
    assert (folder / "adapter_model.safetensors").read_bytes() == adapter_of(lab, 1)["adapter_model.safetensors"]
    assert [version.number for version in list_versions(lab.db)] == [1, 2]
    assert lab.accept().parent_number == 1
    assert live_version(lab.db) == 3
    assert verify(lab.workspace, lab.db).ok


def test_rollback_to_nothing_empties_the_folder(lab: Lab) -> None:
    lab.accept()
    rollback(lab.workspace, lab.db, None, "Ada", "start over")
    assert live_version(lab.db) is None
    assert [path.name for path in lab.workspace.adapters_folder.iterdir()] == [".git"]
    assert verify(lab.workspace, lab.db).ok
    with pytest.raises(NothingToDoError):
        rollback(lab.workspace, lab.db, None, "Ada", "again")


def test_rollback_to_an_unknown_version(lab: Lab) -> None:
    with pytest.raises(WrongUseError, match="no version v0009"):
        rollback(lab.workspace, lab.db, 9, "Ada", "x")


@pytest.mark.parametrize("written", ["v0001", "1", "v1", 1])
def test_versions_by_name(lab: Lab, written: str | int) -> None:
    assert get_version(lab.db, lab.accept().number) == get_version(lab.db, written)
    with pytest.raises(WrongUseError):
        get_version(lab.db, "latest")


@pytest.mark.parametrize("command", [("checkout", "-q", "v0001"), ("reset", "-q", "--hard", "v0001")])
def test_a_checkout_by_hand_becomes_a_move(lab: Lab, command: tuple[str, ...]) -> None:
    lab.accept()
    lab.accept()
    assert sync_checkout(lab.workspace, lab.db) is None
    git(lab.workspace.adapters_folder, *command)
    assert not verify(lab.workspace, lab.db).ok
    move = sync_checkout(lab.workspace, lab.db)
    assert move is not None
    assert (move.from_version, move.to_version, move.cause) == (2, 1, "checkout")
    assert live_version(lab.db) == 1
    assert git(lab.workspace.adapters_folder, "branch", "--show-current") == "live"
    assert sync_checkout(lab.workspace, lab.db) is None
    finish_round(lab.db, 1, "done", {})
    assert recover(lab.workspace, lab.db) == []
    assert verify(lab.workspace, lab.db).problems == []
    git(lab.workspace.adapters_folder, "checkout", "-q", "v0000")
    assert sync_checkout(lab.workspace, lab.db) is not None
    assert live_version(lab.db) is None


def test_a_checkout_of_the_live_version_is_no_move(lab: Lab) -> None:
    lab.accept()
    git(lab.workspace.adapters_folder, "checkout", "-q", "v0001")
    assert sync_checkout(lab.workspace, lab.db) is None
    assert verify(lab.workspace, lab.db).ok


def test_a_checkout_of_no_version_says_what_to_type(lab: Lab) -> None:
    lab.accept()
    folder = lab.workspace.adapters_folder
    candidate = lab.examined()
    add_policy_version(
        lab.workspace, lab.db, lab.adapters[candidate.id], parent_number=None, round_number=1, metrics={}, base=BASE
    )
    git(folder, "checkout", "-q", "policy")
    with pytest.raises(WrongUseError, match="branch 'policy'") as caught:
        sync_checkout(lab.workspace, lab.db)
    assert caught.value.next_step == f"git -C {folder} checkout v0001"
    with pytest.raises(WrongUseError, match="not an accepted version"):
        lab.accept(candidate)
    subprocess.run(caught.value.next_step.split(), check=True, capture_output=True)
    assert sync_checkout(lab.workspace, lab.db) is None
    assert lab.accept(candidate).number == 2


def test_a_commit_by_hand_is_no_version(lab: Lab) -> None:
    lab.accept()
    folder = lab.workspace.adapters_folder
    git(folder, "commit", "-q", "--allow-empty", "-m", "mine")
    with pytest.raises(WrongUseError, match="branch 'live'") as caught:
        sync_checkout(lab.workspace, lab.db)
    subprocess.run(caught.value.next_step.split(), check=True, capture_output=True)
    assert sync_checkout(lab.workspace, lab.db) is None


def test_policy_versions_leave_the_working_tree_alone(lab: Lab) -> None:
    lab.accept()
    before = sorted(path.name for path in lab.workspace.adapters_folder.iterdir())
    files = lab.adapters[lab.examined().id]
    first = add_policy_version(
        lab.workspace, lab.db, files, parent_number=None, round_number=1, metrics={"exam": 0.5}, base=BASE
    )
    second = add_policy_version(
        lab.workspace, lab.db, files, parent_number=1, round_number=1, metrics={"exam": 0.6}, base=BASE
    )
    assert [policy.tag for policy in list_policy_versions(lab.db)] == ["p0001", "p0002"] == [first.tag, second.tag]
    assert policy_adapter_files(lab.workspace, lab.db, 2) == files
    repository = Repository.open(lab.workspace.adapters_folder)
    assert repository.resolve("refs/heads/policy") == second.commit
    assert repository.resolve(LIVE_REF) == get_version(lab.db, 1).commit
    assert sorted(path.name for path in lab.workspace.adapters_folder.iterdir()) == before
    assert verify(lab.workspace, lab.db).problems == []


def test_a_policy_with_values_that_are_not_finite_is_refused(lab: Lab) -> None:
    files = dict(lab.adapters[lab.examined().id])
    content = bytearray(files["adapter_model.safetensors"])
    content[-2:] = b"\x00\x7c"
    files["adapter_model.safetensors"] = bytes(content)
    with pytest.raises(WrongUseError) as caught:
        add_policy_version(lab.workspace, lab.db, files, parent_number=None, round_number=1, metrics={}, base=BASE)
    assert "not finite" in caught.value.problems[0]


def test_nothing_is_kept_if_the_rows_cannot_be_written(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    candidate = lab.examined()

    def fail(*_: object, **__: object) -> None:
        with transaction(lab.db):
            raise OSError("disk full")

    monkeypatch.setattr("store.versions.record_acceptance", fail)
    with pytest.raises(UnrecordedChangeError, match=r"v0001 is live: .*disk full"):
        lab.accept(candidate)
    monkeypatch.undo()
    assert len(recover(lab.workspace, lab.db)) >= 1
    assert [version.candidate_id for version in list_versions(lab.db)] == [candidate.id]
    assert decisions_of(lab.db, candidate.id)[0] == Decision(
        candidate.id, "accept", "Ada", "good", list_versions(lab.db)[0].created_at
    )
    assert verify(lab.workspace, lab.db).problems == []
