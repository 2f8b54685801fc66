from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from store.answers import record_base_answers
from store.candidates import reject
from store.database import open_database
from store.errors import CorruptError
from store.policy_versions import add_policy_version
from store.records import Answer, Document
from store.repository import Repository
from store.rounds import finish_round
from store.tasks import add_documents, list_tasks
from store.verify import verify
from store.versions import rollback
from store.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.test_store.conftest import Lab


@pytest.fixture(scope="session")
def rich_root(new_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory, make_lab: type[Lab]) -> Path:
    """A workspace with something in every table that verify covers, to copy."""
    root = tmp_path_factory.mktemp("rich") / "w"
    shutil.copytree(new_workspace.root, root)
    db = open_database(root / "seal.db")
    fill(make_lab.begin(Workspace(root), db))
    db.close()
    return root


@pytest.fixture
def rich(rich_root: Path, tmp_path: Path, make_lab: type[Lab]) -> Iterator[Lab]:
    shutil.copytree(rich_root, tmp_path / "rich")
    db = open_database(tmp_path / "rich" / "seal.db")
    yield make_lab(Workspace(tmp_path / "rich"), db, list_tasks(db)[0].task)
    db.close()


def fill(lab: Lab) -> None:
    add_documents(lab.db, [Document("d1", "a.md", "A", "sha256:00", "2026-01-01T00:00:00.000Z")])
    answers = [Answer(q.id, None, 0, "before", "base", "no idea", 0.0, False) for q in lab.task.questions]
    record_base_answers(lab.db, answers)
    lab.accept()
    rejected = lab.examined()
    lab.accept()
    reject(lab.db, rejected.id, "Bob", "dull")
    rollback(lab.workspace, lab.db, 1, "Ada", "worse")
    files = lab.adapters[rejected.id]
    add_policy_version(lab.workspace, lab.db, files, parent_number=None, round_number=1, metrics={"a": 1}, base={})
    finish_round(lab.db, 1, "done", {"held_out": 0.5}, new_policy_version=1)


def problems(lab: Lab) -> list[str]:
    report = verify(lab.workspace, lab.db)
    assert report.ok == (report.first is None)
    return report.problems


def tamper(lab: Lab, sql: str) -> None:
    """Change rows as somebody with an editor would: past the triggers."""
    names = [row[0] for row in lab.db.conn.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()]
    for name in names:
        lab.db.conn.execute(f"DROP TRIGGER {name}")
    lab.db.conn.execute("PRAGMA foreign_keys = OFF")
    lab.db.conn.execute(sql)


def flip_a_byte(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 0x10
    path.chmod(0o644)
    path.write_bytes(content)


def test_a_sound_workspace(rich: Lab) -> None:
    report = verify(rich.workspace, rich.db)
    assert report.problems == []
    assert report.checked["versions"] == 2
    assert report.checked["events"] > 10


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("UPDATE events SET payload = '{}' WHERE sequence = 3", "event 3 is changed"),
        ("UPDATE events SET at = '2020-01-01T00:00:00.000Z' WHERE sequence = 1", "event 1 is changed"),
        ("DELETE FROM events WHERE sequence = 4", "event 4 is changed, missing"),
        ("DELETE FROM events WHERE sequence > 2", "it has fewer now"),
        (
            "UPDATE versions SET reason = 'other' WHERE number = 1",
            "v0001: its row and its manifest differ in reason",
        ),
        ("UPDATE versions SET manifest_hash = 'sha256:0' WHERE number = 2", "v0002: manifest.json is not the one"),
        ("UPDATE versions SET \"commit\" = '00' WHERE number = 2", "v0002: its tag points to"),
        ("DELETE FROM versions WHERE number = 2", "tag v0002 has no row"),
        ("UPDATE policy_versions SET metrics = '{}'", "p0001: its row and its manifest differ in metrics"),
        ("UPDATE moves SET to_version = 2 WHERE id = 3", "moves: move 3"),
        ("DELETE FROM moves WHERE id = 3", "branch live is not at v0002"),
        ("UPDATE decisions SET actor = 'Eve' WHERE id = 1", "decisions: the row"),
        ("DELETE FROM decisions WHERE id = 2", "of the event log is missing"),
        ("UPDATE candidates SET completion = 'x' WHERE position = 1", "its row is not the one that was added"),
        ("UPDATE candidates SET reward_mean = 0.9 WHERE position = 1", "its figures, answers or gates"),
        ("UPDATE candidates SET state = 'examined' WHERE position = 2", "the event log says rejected"),
        ("UPDATE answers SET correct = 0 WHERE candidate_id IS NOT NULL", "its figures, answers or gates"),
        ("UPDATE answers SET correct = 1 WHERE candidate_id IS NULL", "answer without a candidate"),
        ("UPDATE gates SET passed = 0", "its figures, answers or gates"),
        ("UPDATE inner_updates SET losses = '[0.0]'", "its figures, answers or gates"),
        ("UPDATE tasks SET context = 'y'", "task sha256:"),
        ("UPDATE questions SET answers = '[]' WHERE position = 2", "task sha256:"),
        ("DELETE FROM questions WHERE position = 2", "points to a missing row of questions"),
        ("UPDATE documents SET path = 'b.md'", "document d1"),
        ("UPDATE rounds SET seed = 8", "round 1: its row"),
        ("UPDATE rounds SET summary = '{}'", "round 1: its outcome"),
    ],
)
def test_a_changed_row_is_named(rich: Lab, sql: str, named: str) -> None:
    tamper(rich, sql)
    found = problems(rich)
    assert any(named in problem for problem in found), found


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        (
            "UPDATE candidates SET sampling = 'not json' WHERE position = 1",
            r"table candidates, id \S+, column sampling",
        ),
        (
            "UPDATE candidates SET reward_mean = 'high' WHERE position = 1",
            r"id \S+, column reward_mean: 'high' is not a",
        ),
        (
            "UPDATE gates SET evidence = 'not json'",
            r"table gates, candidate_id \S+, gate \w+, column evidence: not JSON",
        ),
        ("UPDATE inner_updates SET losses = '{}'", r"candidate_id \S+, repeat 0, column losses: JSON of another kind"),
        ("UPDATE rounds SET settings = '[]'", r"table rounds, number 1, column settings: JSON of another kind"),
        ("UPDATE rounds SET summary = '{'", r"table rounds, number 1, column summary: not JSON"),
        ("UPDATE questions SET answers = 'x' WHERE position = 2", r"table questions, id \S+, column answers: not JSON"),
        ("UPDATE policy_versions SET metrics = 'x'", r"table policy_versions, number 1, column metrics: not JSON"),
        ("UPDATE events SET payload = 'x' WHERE sequence = 3", r"table events, sequence 3, column payload: not JSON"),
    ],
)
def test_an_unreadable_row_is_named_and_hides_no_other_finding(rich: Lab, sql: str, named: str) -> None:
    tamper(rich, sql)
    rich.db.conn.execute("UPDATE candidates SET completion = 'x' WHERE position = 2")
    rich.db.conn.execute("UPDATE documents SET path = 'b.md'")
    found = problems(rich)
    assert any(re.search(named, problem) for problem in found), found
    assert any(problem.startswith("candidate ") and "not the one that was added" in problem for problem in found)
    assert any(problem.startswith("document d1") for problem in found)
    assert not any("its row is missing" in problem for problem in found if "candidate" in problem)
    assert not any("cannot be compared" in problem for problem in found)


def test_a_flipped_byte_in_any_git_object_is_noticed(rich: Lab) -> None:
    objects = rich.workspace.adapters_folder / ".git" / "objects"
    loose = sorted(path for path in objects.rglob("*") if len(path.name) == 38)
    chooser = random.Random(5)
    assert len(loose) > 15
    for path in chooser.sample(loose, 8):
        before = path.read_bytes()
        flip_a_byte(path, chooser.randrange(len(before)))
        assert problems(rich), path
        path.write_bytes(before)
    assert problems(rich) == []


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json", "manifest.json", "README.md"])
def test_a_flipped_byte_in_the_working_tree_is_named(rich: Lab, name: str) -> None:
    flip_a_byte(rich.workspace.adapters_folder / name, 20)
    assert problems(rich) == [f"working tree: {name} differs from the version"]


def test_a_weights_file_that_is_a_link_is_named(rich: Lab, tmp_path: Path) -> None:
    weights = rich.workspace.adapters_folder / "adapter_model.safetensors"
    (tmp_path / "elsewhere").write_bytes(weights.read_bytes())
    weights.unlink()
    weights.symlink_to(tmp_path / "elsewhere")
    assert problems(rich) == ["working tree: adapter_model.safetensors is a symbolic link, not a file"]


def test_files_that_were_added_or_removed_are_named(rich: Lab) -> None:
    folder = rich.workspace.adapters_folder
    (folder / "adapter_model.bin").write_bytes(b"pickle")
    (folder / "README.md").unlink()
    assert problems(rich) == [
        "working tree: README.md is missing from the working tree",
        "working tree: adapter_model.bin is not part of the version",
    ]


@pytest.mark.parametrize(
    ("command", "named"),
    [
        (["tag", "-d", "v0002"], "v0002: its tag is missing"),
        (["tag", "-f", "-a", "-m", "x", "v0002", "v0001"], "v0002: its tag points to"),
        (["tag", "-f", "v0002", "v0002^{}"], "v0002: its tag is not an annotated one"),
        (["update-ref", "refs/heads/live", "v0002^{}"], "branch live is not at v0001"),
        (["update-ref", "refs/heads/policy", "v0002^{}"], "branch policy is not at the newest"),
        (["checkout", "-q", "v0002"], "HEAD does not follow branch live"),
        (["tag", "-a", "-m", "x", "v0003", "v0001"], "tag v0003 has no row"),
    ],
)
def test_moved_refs_are_named(rich: Lab, command: list[str], named: str) -> None:
    identity = ["-c", "user.name=x", "-c", "user.email=x@x"]
    subprocess.run(
        ["git", "-C", str(rich.workspace.adapters_folder), *identity, *command], check=True, capture_output=True
    )
    found = problems(rich)
    assert any(named in problem for problem in found), found


def test_a_version_rewritten_in_git_and_in_its_row_is_still_noticed(rich: Lab) -> None:
    repository = Repository.open(rich.workspace.adapters_folder)
    old = repository.resolve("refs/tags/v0002")
    assert old is not None
    files: dict[str, Any] = {name: repository.read_file(old, name) for name in repository.file_names(old)}
    manifest = json.loads(files["manifest.json"])
    manifest["decision"]["reason"] = "forged"
    files["manifest.json"] = json.dumps(manifest).encode()
    at = "2026-01-01T00:00:00.000Z"
    commit = repository.commit_folder(files, repository.parents(old)[0], "x", "Eve", at)
    tag = repository.write_tag("v0002", commit, "x", "Eve", at)
    repository.move_refs([("refs/tags/v0002", repository.object_id("refs/tags/v0002"), tag)])
    tamper(rich, "UPDATE versions SET reason = 'forged' WHERE number = 2")
    rich.db.conn.execute('UPDATE versions SET "commit" = ? WHERE number = 2', (commit,))
    assert any("in no event" in problem for problem in problems(rich))


def test_a_missing_repository_is_reported(lab: Lab) -> None:
    (lab.workspace.adapters_folder / ".git").rename(lab.workspace.root / "gone")
    assert problems(lab) == [f"{lab.workspace.adapters_folder} is not a git repository"]


@pytest.mark.parametrize(
    "command",
    [
        ["tag", "-f", "v0002", "v0001^{}"],
        ["tag", "-f", "-a", "-m", "mine", "v0002", "v0001^{}"],
        ["tag", "-f", "-a", "-m", "approved", "v0002", "v0002^{}"],
        ["tag", "-f", "v0002", "v0002^{}"],
        ["tag", "-d", "v0002"],
    ],
)
def test_a_tag_that_was_moved_or_deleted_is_put_back_by_the_command_that_is_named(
    rich: Lab, command: list[str]
) -> None:
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@y", "-C", str(rich.workspace.adapters_folder)]
    subprocess.run([*git, *command], check=True, capture_output=True)
    [problem] = [one for one in verify(rich.workspace, rich.db).problems if one.startswith("v0002: ")]
    remedy = problem[problem.index("; git -C ") + 2 :]
    subprocess.run(remedy.split(), check=True)
    assert verify(rich.workspace, rich.db).problems == []


def test_a_moved_tag_is_not_rolled_back_to(rich: Lab) -> None:
    git = ["git", "-C", str(rich.workspace.adapters_folder)]
    subprocess.run([*git, "tag", "-f", "v0002", "v0000^{}"], check=True, capture_output=True)
    with pytest.raises(CorruptError, match="Tag v0002 in adapters/ was moved") as stopped:
        rollback(rich.workspace, rich.db, 2, "Ada", "better")
    assert "update-ref refs/tags/v0002" in stopped.value.next_step
