from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.adapter_files import weights_problems
from store.card import visible
from store.errors import CorruptError, SealError
from store.repository import LIVE_REF, POLICY_REF, ROOT_TAG_REF, Repository
from store.version_tags import parse_number, policy_tag, tag_number, version_tag

if TYPE_CHECKING:
    from pathlib import Path

AT = "2026-01-01T00:00:00.000Z"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository.create(tmp_path / "adapters")


def test_a_new_repository_has_an_empty_live_version(repository: Repository) -> None:
    root = repository.resolve(ROOT_TAG_REF)
    assert root is not None
    assert root == repository.resolve(LIVE_REF) == repository.resolve(POLICY_REF) == repository.head_commit()
    assert repository.head_branch() == LIVE_REF
    assert repository.file_names(root) == []
    assert repository.working_tree_changes() == []
    assert repository.check_objects() == []
    assert Repository.create(repository.folder).resolve(ROOT_TAG_REF) == root


def test_a_folder_that_is_no_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorruptError, match="not an adapters repository"):
        Repository.open(tmp_path)


def test_hostile_configuration_and_environment_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    hooks = home / "hooks"
    hooks.mkdir(parents=True)
    for name in ("reference-transaction", "post-checkout", "pre-commit"):
        (hooks / name).write_text("#!/bin/sh\nexit 1\n")
        (hooks / name).chmod(0o755)
    (home / "attributes").write_text("*.safetensors filter=broken\n*.md text eol=crlf\n")
    (home / ".gitconfig").write_text(
        f"[core]\n hooksPath = {hooks}\n autocrlf = true\n attributesFile = {home / 'attributes'}\n"
        "[commit]\n gpgSign = true\n[tag]\n gpgSign = true\n[init]\n defaultBranch = other\n"
        '[filter "broken"]\n clean = false\n smudge = false\n required = true\n'
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    monkeypatch.setenv("GIT_AUTHOR_NAME", "")
    repository = Repository.create(tmp_path / "adapters")
    files = {"a.safetensors": b"1\n2\r\n", "README.md": b"x\ny\n"}
    commit = repository.commit_folder(files, repository.head_commit(), "m", "Ada", AT)
    repository.move_refs([(LIVE_REF, repository.resolve(LIVE_REF), commit)])
    repository.checkout_live()
    assert {name: (repository.folder / name).read_bytes() for name in files} == files
    for name in ("GIT_DIR", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name)
    done = subprocess.run(
        ["git", "-C", str(repository.folder), "checkout", "-q", "v0000"], check=False, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in repository.folder.iterdir()] == [".git"]


def test_the_same_commit_is_made_twice(repository: Repository) -> None:
    files = {"b": b"2", "a": b"\0\xff"}
    commits = {repository.commit_folder(files, None, "m", "Ada <x>\n", AT) for _ in range(2)}
    (commit,) = commits
    assert repository.file_names(commit) == ["a", "b"]
    assert repository.read_file(commit, "a") == b"\0\xff"
    assert repository.parents(commit) == []
    with pytest.raises(SealError, match="cat-file failed"):
        repository.read_file(commit, "c")


def test_refs_move_all_or_none(repository: Repository) -> None:
    root = repository.resolve(LIVE_REF)
    commit = repository.commit_folder({"a": b"1"}, root, "m", "Ada", AT)
    with pytest.raises(SealError, match="update-ref failed"):
        repository.move_refs([(LIVE_REF, root, commit), (POLICY_REF, commit, commit)])
    with pytest.raises(SealError, match="update-ref failed"):
        repository.move_refs([(LIVE_REF, root, commit), (ROOT_TAG_REF, None, commit)])
    assert repository.resolve(LIVE_REF) == root
    tag = repository.write_tag("v0001", commit, "words", "Ada", AT)
    repository.move_refs([(LIVE_REF, root, commit), ("refs/tags/v0001", None, tag)])
    assert repository.resolve("refs/tags/v0001") == commit
    assert repository.object_type("refs/tags/v0001") == "tag"
    assert repository.tags() == {"v0000": root, "v0001": commit}


@given(st.integers(1, 999_999))
def test_names_of_versions_go_both_ways(number: int) -> None:
    assert parse_number(version_tag(number)) == parse_number(policy_tag(number)) == parse_number(number) == number
    assert tag_number(version_tag(number), "v") == number
    assert tag_number(policy_tag(number), "v") is None


@given(st.text())
def test_no_control_character_is_left_in_a_card(text: str) -> None:
    shown = visible(text)
    assert len(shown) == len(text)
    assert all(c in "\n\t" or not (ord(c) < 32 or 127 <= ord(c) < 160) for c in shown)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_safetensors_are_named(content: bytes) -> None:
    assert weights_problems(content)
