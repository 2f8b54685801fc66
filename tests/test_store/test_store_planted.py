"""What somebody with access to git, but not to decisions, puts into a workspace: never taken over, always reported."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from store.adapter_files import hash_adapter
from store.candidates import get_candidate, reject, set_state
from store.database import execute, fetch, open_database, open_to_read, transaction
from store.errors import WrongUseError
from store.events import append_event
from store.hashing import hash_bytes
from store.live_ref import sync_checkout
from store.policy_versions import add_policy_version
from store.records import Decision
from store.recovery import recover
from store.repository import FORMER_MOVE_REF, LIVE_REF, POLICY_REF, Repository
from store.rounds import finish_round
from store.rows import to_row
from store.schema import SchemaError
from store.verify import verify
from store.version_rows import list_moves, list_versions, live_version
from store.workspace import Workspace
from tests.test_store.conftest import make_adapter

if TYPE_CHECKING:
    from pathlib import Path

    from tests.test_store.conftest import Lab

AT = "2026-01-01T00:00:00.000Z"


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=x", "-c", "user.email=x@x")
    done = subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def plant(lab: Lab, candidate_id: str, *, tag: str = "v0002") -> Repository:
    """Plant an acceptance of another candidate: v0001's files with the words of another decision, tagged."""
    repository = Repository.open(lab.workspace.adapters_folder)
    parent = str(repository.resolve("refs/tags/v0001"))
    files: dict[str, Any] = {name: repository.read_file(parent, name) for name in repository.file_names(parent)}
    manifest = json.loads(files["manifest.json"])
    manifest |= {"number": 2, "tag": tag, "parent_number": 1, "parent_tag": "v0001"}
    manifest["candidate"]["id"] = manifest["decision"]["candidate_id"] = candidate_id
    manifest["decision"] |= {"actor": "alice (head of review)"}
    files["manifest.json"] = json.dumps(manifest).encode()
    commit = repository.commit_folder(files, parent, "planted", "alice", AT)
    repository.move_refs([(f"refs/tags/{tag}", None, repository.write_tag(tag, commit, "planted", "alice", AT))])
    return repository


def test_a_planted_tag_is_no_acceptance(lab: Lab) -> None:
    lab.accept()
    refused = lab.examine(lab.propose(), passed=False)
    finish_round(lab.db, 1, "done", {})
    repository = plant(lab, refused.id)
    record = {"number": 2, "move": {"name": "live", "from_version": 1, "to_version": 2, "cause": "accept"}}
    blob = subprocess.run(
        ["git", "-C", str(repository.folder), "hash-object", "-w", "--stdin"],
        input=json.dumps(record).encode(), check=True, capture_output=True,
    ).stdout.decode().strip()  # fmt: skip
    git(repository.folder, "update-ref", FORMER_MOVE_REF, blob)
    assert recover(lab.workspace, lab.db) == []
    assert sync_checkout(lab.workspace, lab.db) is None
    assert (len(list_versions(lab.db)), live_version(lab.db), len(list_moves(lab.db))) == (1, 1, 1)
    assert get_candidate(lab.db, refused.id).state == "refused"
    found = verify(lab.workspace, lab.db).problems
    assert [problem.partition(" ")[0] for problem in found] == ["tag", FORMER_MOVE_REF]


def test_a_move_that_an_older_release_recorded_in_git_is_nothing_foreign(lab: Lab) -> None:
    lab.accept()
    (row,) = fetch(lab.db, "SELECT * FROM moves")
    record = json.dumps({"number": row.pop("id"), "move": row, "refs": []}).encode()
    folder = lab.workspace.adapters_folder
    done = subprocess.run(
        ["git", "-C", str(folder), "hash-object", "-w", "--stdin"], input=record, check=True, capture_output=True
    )
    git(folder, "update-ref", FORMER_MOVE_REF, done.stdout.decode().strip())
    assert verify(lab.workspace, lab.db).problems == []


def test_the_branch_of_the_policy_stays_at_the_newest_policy(lab: Lab) -> None:
    lab.accept()
    finish_round(lab.db, 1, "done", {})
    git(lab.workspace.adapters_folder, "update-ref", POLICY_REF, "v0001^{}")
    assert recover(lab.workspace, lab.db) == [
        "Branch policy in adapters/ had moved without a record; it is at the newest policy version again."
    ]
    assert verify(lab.workspace, lab.db).problems == []


def test_the_remedies_of_planted_refs_work(lab: Lab) -> None:
    lab.accept()
    repository = plant(lab, lab.examined().id)
    (problem,) = verify(lab.workspace, lab.db).problems
    command = "git" + problem.partition(": git")[2]
    subprocess.run(command.split(), check=True, capture_output=True)
    assert verify(lab.workspace, lab.db).problems == []
    assert lab.accept().number == 2
    assert "v0002" in repository.tags()


def test_a_planted_version_cannot_be_checked_out_into_being_live(lab: Lab) -> None:
    lab.accept()
    candidate = lab.examined()
    repository = plant(lab, candidate.id)
    git(repository.folder, "checkout", "-q", "v0002")
    with pytest.raises(WrongUseError, match="not an accepted version") as caught:
        sync_checkout(lab.workspace, lab.db)
    subprocess.run(caught.value.next_step.split(), check=True, capture_output=True)
    sync_checkout(lab.workspace, lab.db)
    assert live_version(lab.db) == 1
    assert lab.accept(candidate).number == 3  # the number of the planted one is never used


def test_an_acceptance_fetched_from_a_copy_stays_the_copys(lab: Lab, tmp_path: Path, make_lab: type[Lab]) -> None:
    candidate = lab.examined()
    lab.db.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copytree(lab.workspace.root, tmp_path / "copy")
    lab.accept(candidate)
    other = Workspace(tmp_path / "copy")
    db = open_database(other.database_file)
    git(other.adapters_folder, "fetch", "-q", str(lab.workspace.adapters_folder), "live:refs/remotes/c/live")
    assert "v0001" in Repository.open(other.adapters_folder).tags()
    recover(other, db)
    assert list_versions(db) == []
    assert any("tag v0001 has no row" in problem for problem in verify(other, db).problems)
    copy = make_lab(other, db, lab.task, adapters=lab.adapters)
    assert copy.accept(candidate).number == 2
    db.close()


def forge(lab: Lab, *statements: str) -> None:
    """Change rows as somebody does who puts the triggers back afterwards."""
    triggers = fetch(lab.db, "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
    for trigger in triggers:
        execute(lab.db, f"DROP TRIGGER {trigger['name']}")
    for statement in statements:
        execute(lab.db, statement)
    for trigger in triggers:
        execute(lab.db, trigger["sql"])


def test_a_replaced_policy_is_noticed(lab: Lab) -> None:
    candidate = lab.examined()
    kept = add_policy_version(
        lab.workspace, lab.db, lab.adapters[candidate.id], parent_number=None, round_number=1, metrics={}, base={}
    )
    repository = Repository.open(lab.workspace.adapters_folder)
    manifest = json.loads(repository.read_file(kept.commit, "manifest.json"))
    files = {**make_adapter(4711), "README.md": repository.read_file(kept.commit, "README.md")}
    manifest["adapter_hash"] = hash_adapter(files)
    manifest["files"] = {name: hash_bytes(content) for name, content in files.items()}
    files["manifest.json"] = json.dumps(manifest).encode()
    commit = repository.commit_folder(files, repository.parents(kept.commit)[0], "x", "x", AT)
    tag = repository.write_tag("p0001", commit, "x", "x", AT)
    old_tag = repository.object_id("refs/tags/p0001")
    repository.move_refs([("refs/tags/p0001", old_tag, tag), (POLICY_REF, kept.commit, commit)])
    new_hash = manifest["adapter_hash"]
    forge(lab, f"UPDATE policy_versions SET \"commit\" = '{commit}', adapter_hash = '{new_hash}'")  # noqa: S608
    found = verify(lab.workspace, lab.db).problems
    assert any("policy_versions: the row" in problem and "in no event" in problem for problem in found), found


def test_an_adapter_that_was_not_examined_is_noticed(lab: Lab) -> None:
    version = lab.accept()
    other = "sha256:" + "7" * 64
    forge(lab, f"UPDATE candidates SET adapter_hash = '{other}' WHERE id = '{version.candidate_id}'")  # noqa: S608
    found = verify(lab.workspace, lab.db).problems
    assert f"{version.tag}: its adapter is not the one that its candidate was examined with" in found


def test_a_changed_order_of_decisions_is_noticed(lab: Lab) -> None:
    first, second = lab.examined(), lab.examined()
    reject(lab.db, first.id, "Ada", "dull")
    reject(lab.db, second.id, "Ada", "dull")
    forge(lab, "UPDATE decisions SET id = 10 WHERE id = 1")
    assert verify(lab.workspace, lab.db).problems == ["decisions: they are not in the order of the event log"]


def test_a_decision_that_the_rules_do_not_allow_is_noticed(lab: Lab) -> None:
    refused = lab.examine(lab.propose(), passed=False)
    forged = Decision(refused.id, "defer", "Eve", "later", AT)
    with transaction(lab.db):
        set_state(lab.db, refused.id, "deferred", forged)
        append_event(lab.db, "candidate.deferred", {"decision": to_row(forged)})
    (problem,) = verify(lab.workspace, lab.db).problems
    assert problem.endswith(f"it became deferred at {AT}, which is not possible for a candidate that is refused")


def test_other_words_on_a_tag_are_noticed(lab: Lab) -> None:
    lab.accept()
    git(lab.workspace.adapters_folder, "tag", "-f", "-a", "-m", "approved by the CEO", "v0001", "v0001^{}")
    [problem] = verify(lab.workspace, lab.db).problems
    assert problem.startswith("v0001: the words of its tag, or the name on it, were changed; git -C ")


TURNS_REJECTIONS = """CREATE TRIGGER turns BEFORE INSERT ON decisions WHEN NEW.action = 'reject'
    BEGIN INSERT INTO decisions VALUES (NULL, NEW.candidate_id, 'accept', NEW.actor, NEW.reason, NEW.decided_at);
    SELECT RAISE(IGNORE); END"""
PLANTED = [
    TURNS_REJECTIONS,
    "CREATE VIEW better AS SELECT * FROM decisions",
    "CREATE INDEX mine ON decisions (reason)",
    "DROP TRIGGER decisions_stay",
    "DROP INDEX decisions_of_candidate",
    "CREATE TABLE more (x)",
    "ALTER TABLE decisions ADD COLUMN weight",
]


@pytest.mark.parametrize("statement", PLANTED)
def test_a_changed_schema_is_named_and_never_obeyed(lab: Lab, statement: str) -> None:
    candidate = lab.examined()
    other = open_to_change(lab)
    other.execute(statement)
    with pytest.raises(SchemaError) as caught:
        reject(lab.db, candidate.id, "Ada", "dull")
    assert fetch(lab.db, "SELECT * FROM decisions") == []
    assert len(caught.value.problems) == 1
    with pytest.raises(SchemaError):
        open_database(lab.workspace.database_file)
    reader = open_to_read(lab.workspace.database_file)
    assert caught.value.problems[0] in verify(lab.workspace, reader).problems
    reader.close()
    other.close()


def open_to_change(lab: Lab) -> sqlite3.Connection:
    """Return a connection as another program opens one."""
    return sqlite3.connect(lab.workspace.database_file, isolation_level=None)


def test_live_stays_where_it_is_recorded(lab: Lab) -> None:
    lab.accept()
    lab.accept()
    folder = lab.workspace.adapters_folder
    git(folder, "update-ref", LIVE_REF, "v0001^{}")
    assert any("is at v0002" in sentence for sentence in recover(lab.workspace, lab.db))
    assert sync_checkout(lab.workspace, lab.db) is None
    assert verify(lab.workspace, lab.db).problems == []
    assert (live_version(lab.db), [move.cause for move in list_moves(lab.db)]) == (2, ["accept", "accept"])
