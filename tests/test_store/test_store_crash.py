"""Real processes, killed with SIGKILL at every named step and before every git command: all of a change, or nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import store
from store.candidates import get_candidate, reject
from store.errors import CorruptError, LockedError
from store.recovery import recover
from store.repository import POLICY_REF, Repository
from store.rounds import finish_round
from store.verify import verify
from store.version_rows import list_moves, list_policy_versions, list_versions, live_version
from store.versions import rollback

if TYPE_CHECKING:
    from store.records import Candidate
    from tests.test_store.conftest import Lab

CHILD = Path(__file__).with_name("crash_child.py")
SOURCE = str(Path(str(store.__file__)).parents[1])
GIT_CALLS_OF_ACCEPT = 33  # the refs move at call 25; the first ones only read
GIT_CALLS_OF_CHECKOUT = 32


def start_child(lab: Lab, operation: str, step: str, candidate: Candidate) -> subprocess.Popen[str]:
    folder = lab.workspace.root / f"given-{candidate.position}"
    folder.mkdir(exist_ok=True)
    for name, content in lab.adapters[candidate.id].items():
        (folder / name).write_bytes(content)
    arguments = [str(lab.workspace.root), operation, step, candidate.id, str(folder)]
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    return subprocess.Popen(
        [sys.executable, str(CHILD), *arguments], env=environment, stderr=subprocess.PIPE, text=True
    )


def run_child(lab: Lab, operation: str, step: str, candidate: Candidate) -> int:
    """Run the operation in another process until it dies; return its exit status (negative: the signal)."""
    with start_child(lab, operation, step, candidate) as child:
        _, complaints = child.communicate()
    assert child.returncode in {0, -signal.SIGKILL}, complaints
    return child.returncode


def recovered(lab: Lab) -> None:
    recover(lab.workspace, lab.db)
    assert recover(lab.workspace, lab.db) == []
    assert verify(lab.workspace, lab.db).problems == []


def check_all_or_nothing(lab: Lab, candidate: Candidate) -> None:
    """Check that the acceptance is there wholly, or not at all and possible again."""
    recovered(lab)
    tags = Repository.open(lab.workspace.adapters_folder).tags().keys()
    state = get_candidate(lab.db, candidate.id).state
    if list_versions(lab.db):
        assert (state, live_version(lab.db), sorted(tags)) == ("accepted", 1, ["v0000", "v0001"])
        weights = lab.workspace.adapters_folder / "adapter_model.safetensors"
        assert weights.read_bytes() == lab.adapters[candidate.id]["adapter_model.safetensors"]
        assert len(list_moves(lab.db)) == 1
        return
    assert (state, live_version(lab.db), sorted(tags), list_moves(lab.db)) == ("examined", None, ["v0000"], [])
    assert lab.accept(candidate).number == 1
    assert verify(lab.workspace, lab.db).problems == []


@pytest.mark.parametrize(
    ("step", "is_there"),
    [
        ("files_written", False),
        ("objects_written", False),
        ("announced", False),
        ("refs_moved", True),
        ("tree_updated", True),
        ("in transaction", True),
        ("recorded", True),
    ],
)
def test_accept_killed_at_a_named_step(lab: Lab, step: str, is_there: bool) -> None:
    candidate = lab.examined()
    assert run_child(lab, "accept", step, candidate) == -signal.SIGKILL
    recover(lab.workspace, lab.db)
    assert bool(list_versions(lab.db)) == is_there
    check_all_or_nothing(lab, candidate)


@pytest.mark.parametrize("call", [1, 10, 16, *range(18, GIT_CALLS_OF_ACCEPT + 1)])
def test_accept_killed_before_each_git_command(lab: Lab, call: int) -> None:
    candidate = lab.examined()
    assert run_child(lab, "accept", f"git {call}", candidate) == -signal.SIGKILL
    check_all_or_nothing(lab, candidate)


def test_accept_has_no_more_git_commands_than_those(lab: Lab) -> None:
    assert run_child(lab, "accept", f"git {GIT_CALLS_OF_ACCEPT + 1}", lab.examined()) == 0


@pytest.mark.parametrize(
    "step", ["objects_written", "announced", "refs_moved", "tree_updated", "in transaction", "recorded"]
)
def test_rollback_killed(lab: Lab, step: str) -> None:
    candidate = lab.examined()
    lab.accept(candidate)
    assert run_child(lab, "rollback", step, candidate) == -signal.SIGKILL
    recovered(lab)
    if step in {"objects_written", "announced"}:
        assert live_version(lab.db) == 1
    else:
        assert live_version(lab.db) is None
        assert (list_moves(lab.db)[-1].actor, list_moves(lab.db)[-1].reason) == ("Ada", "worse")


@pytest.mark.parametrize("call", range(4, GIT_CALLS_OF_CHECKOUT + 1, 4))
def test_following_a_checkout_killed(lab: Lab, call: int) -> None:
    candidate = lab.examined()
    lab.accept(candidate)
    folder = lab.workspace.adapters_folder
    subprocess.run(["git", "-C", str(folder), "checkout", "-q", "v0000"], check=True)
    run_child(lab, "checkout", f"git {call}", candidate)
    recover(lab.workspace, lab.db)
    run_child(lab, "checkout", "no step", candidate)
    recovered(lab)
    assert live_version(lab.db) is None
    assert [move.cause for move in list_moves(lab.db)] == ["accept", "checkout"]


@pytest.mark.parametrize("step", ["objects_written", "announced", "refs_moved", "in transaction", "recorded"])
def test_adding_a_policy_killed(lab: Lab, step: str) -> None:
    assert run_child(lab, "policy", step, lab.examined()) == -signal.SIGKILL
    recovered(lab)
    assert len(list_policy_versions(lab.db)) == (0 if step in {"objects_written", "announced"} else 1)


def test_a_checkout_by_hand_after_a_crash_is_the_operators_word(lab: Lab) -> None:
    candidate = lab.examined()
    run_child(lab, "accept", "refs_moved", candidate)
    folder = lab.workspace.adapters_folder
    subprocess.run(["git", "-C", str(folder), "checkout", "-q", "v0000"], check=True)
    assert "finished now" in recover(lab.workspace, lab.db)[0]
    assert not (folder / "adapter_model.safetensors").exists()
    run_child(lab, "checkout", "no step", candidate)
    assert live_version(lab.db) is None
    recovered(lab)


@pytest.mark.parametrize("undone", [["refs/heads/live"], ["refs/tags/v0001", "refs/heads/live"]])
def test_a_ref_transaction_that_was_half_done(lab: Lab, undone: list[str]) -> None:
    candidate = lab.examined()
    repository = Repository.open(lab.workspace.adapters_folder)
    root = str(repository.head_commit())
    run_child(lab, "accept", "refs_moved", candidate)
    for ref in undone:
        new = ["-d", ref] if "tags" in ref else [ref, root]
        subprocess.run(["git", "-C", str(repository.folder), "update-ref", *new], check=True)
    check_all_or_nothing(lab, candidate)
    assert list_versions(lab.db)


def test_what_was_announced_is_finished_only_if_it_is_still_there(lab: Lab) -> None:
    candidate = lab.examined()
    run_child(lab, "accept", "refs_moved", candidate)
    assert any("The acceptance of v0001 by Ada was interrupted" in note for note in verify(lab.workspace, lab.db).notes)
    lab.db.conn.execute("UPDATE candidates SET adapter_hash = 'sha256:0'")
    with pytest.raises(CorruptError, match="was examined with another adapter"):
        recover(lab.workspace, lab.db)
    assert list_versions(lab.db) == []


def test_a_policy_tag_without_its_branch(lab: Lab) -> None:
    repository = Repository.open(lab.workspace.adapters_folder)
    root = str(repository.head_commit())
    run_child(lab, "policy", "refs_moved", lab.examined())
    subprocess.run(["git", "-C", str(repository.folder), "update-ref", POLICY_REF, root], check=True)
    recovered(lab)
    assert len(list_policy_versions(lab.db)) == 1


def test_a_working_tree_that_was_half_written(lab: Lab) -> None:
    candidate = lab.examined()
    run_child(lab, "accept", "tree_updated", candidate)
    folder = lab.workspace.adapters_folder
    (folder / "adapter_model.safetensors").write_bytes(b"")
    (folder / ".git" / "index").write_bytes(b"\0" * 64)
    check_all_or_nothing(lab, candidate)
    assert list_versions(lab.db)


def test_locks_of_a_git_that_died_are_removed(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.recovery._GIT_LOCK_GRACE_S", 0.1)
    lab.accept()
    finish_round(lab.db, 1, "done", {})
    for name in ("index.lock", "refs/heads/live.lock"):
        (lab.workspace.adapters_folder / ".git" / name).touch()
    assert len(recover(lab.workspace, lab.db)) == 2
    rollback(lab.workspace, lab.db, None, "Ada", "x")
    recovered(lab)


def test_of_several_processes_that_accept_at_once_one_wins(lab: Lab) -> None:
    candidates = [lab.examined() for _ in range(3)]
    children = [start_child(lab, "accept", "no step", candidate) for candidate in candidates]
    complaints = [child.communicate()[1] for child in children]
    assert sorted(child.returncode for child in children) == [0, 1, 1]
    assert sum("v0001 is live now" in complaint for complaint in complaints) == 2
    recovered(lab)


@pytest.mark.parametrize("step", ["announced", "refs_moved"])
def test_nobody_decides_on_a_candidate_whose_acceptance_was_begun(lab: Lab, step: str) -> None:
    candidate = lab.examined()
    run_child(lab, "accept", step, candidate)
    with pytest.raises(LockedError, match=r"in the middle of being accepted by Ada") as caught:
        reject(lab.db, candidate.id, "Bob", "no")
    assert "verify" in caught.value.next_step
    recovered(lab)
    if step == "announced":
        assert reject(lab.db, candidate.id, "Bob", "no").state == "rejected"
        recovered(lab)
        return
    assert get_candidate(lab.db, candidate.id).state == "accepted"


REFS = ["HEAD", "refs/heads/live", "refs/heads/policy", "refs/tags/v0000", "refs/tags/v0001", "refs/seal/last-move"]


@pytest.mark.parametrize("content", [b"", b"\0" * 41])
@pytest.mark.parametrize("ref", [*REFS, "all"])
def test_refs_that_a_power_cut_emptied_are_written_again(lab: Lab, ref: str, content: bytes) -> None:
    lab.accept()
    lab.accept()
    finish_round(lab.db, 1, "done", {})
    git_folder = lab.workspace.adapters_folder / ".git"
    (git_folder / "refs" / "seal").mkdir()
    names = REFS if ref == "all" else [ref]
    before = {name: (git_folder / name).read_bytes() for name in names if (git_folder / name).exists()}
    for name in names:
        (git_folder / name).write_bytes(content)
    assert len(recover(lab.workspace, lab.db)) == len(names)
    recovered(lab)
    assert {name: (git_folder / name).read_bytes() for name in before} == before
    assert live_version(lab.db) == 2
    assert lab.accept().number == 3


@pytest.mark.parametrize("ref", ["refs/heads/live", "refs/heads/policy"])
def test_branches_that_are_gone_are_written_again(lab: Lab, ref: str) -> None:
    lab.accept()
    finish_round(lab.db, 1, "done", {})
    (lab.workspace.adapters_folder / ".git" / ref).unlink()
    assert len(recover(lab.workspace, lab.db)) == 1
    recovered(lab)


def test_head_is_durable_before_it_is_relied_on(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.accept()
    subprocess.run(["git", "-C", str(lab.workspace.adapters_folder), "checkout", "-q", "v0000"], check=True)
    synced: list[str] = []
    monkeypatch.setattr("store.repository.write_file", lambda path, _: synced.append(path.name))
    repository = Repository(lab.workspace.adapters_folder)
    repository.attach_head()
    assert synced == ["HEAD"]


def test_refs_are_synced_in_the_order_in_which_they_move(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr("store.repository.sync_folder", lambda path: synced.append(path.name))
    lab.accept()
    assert [name for name in synced if name in {"tags", "heads", ".git"}] == ["tags", "heads", ".git"]


def test_an_index_of_another_version_is_rebuilt(lab: Lab) -> None:
    lab.accept()
    folder = lab.workspace.adapters_folder
    old = (folder / ".git" / "index").read_bytes()
    lab.accept()
    finish_round(lab.db, 1, "done", {})
    (folder / ".git" / "index").write_bytes(old)
    assert recover(lab.workspace, lab.db) == []  # it may be that of a git at work
    os.utime(folder / ".git" / "index", (1, 1))
    assert recover(lab.workspace, lab.db) == ["The index of adapters/ was not that of the live version; it is now."]
    recovered(lab)
    status = subprocess.run(["git", "-C", str(folder), "status", "--porcelain"], check=True, capture_output=True)
    assert status.stdout == b""


def test_unfinished_objects_of_a_git_that_died_are_removed(lab: Lab) -> None:
    lab.accept()
    finish_round(lab.db, 1, "done", {})
    objects = lab.workspace.adapters_folder / ".git" / "objects"
    (objects / "ab").mkdir(exist_ok=True)
    old, young = objects / "ab" / "tmp_obj_abc", objects / "ab" / "tmp_obj_new"
    for path in (old, young):
        path.write_bytes(b"x")
    os.utime(old, (1, 1))
    (sentence,) = recover(lab.workspace, lab.db)
    assert "tmp_obj_abc" in sentence
    assert (old.exists(), young.exists()) == (False, True)
