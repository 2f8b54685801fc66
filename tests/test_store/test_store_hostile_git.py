"""An adapters repository that somebody prepared: no program that it names is run, and everything in it is reported."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from store.candidates import reject
from store.errors import CorruptError
from store.git_owner import ForeignOwnerError
from store.recovery import recover
from store.repository import LIVE_REF, Repository
from store.verify import verify
from store.versions import rollback, version_adapter_files
from store.workspace import create_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from tests.test_store.conftest import Lab


def configure(lab: Lab, key: str, value: str) -> None:
    config = lab.workspace.adapters_folder / ".git" / "config"
    subprocess.run(["git", "config", "-f", str(config), "--add", key, value], check=True)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program that leaves a mark next to itself when it is run, whatever it is run as."""
    path = tmp_path / "program"
    path.write_text(f'#!/bin/sh\necho "$0 $*" >> {tmp_path / "ran"}\ncat 2>/dev/null\n')
    path.chmod(0o755)
    return path


def work(lab: Lab) -> None:
    """Do everything that calls git."""
    lab.accept()
    lab.accept()
    recover(lab.workspace, lab.db)
    version_adapter_files(lab.workspace, lab.db, 1)
    rollback(lab.workspace, lab.db, 1, "Ada", "worse")
    reject(lab.db, lab.examined().id, "Ada", "dull")


PROGRAMS = [
    "core.fsmonitor",
    "core.sshCommand",
    "core.pager",
    "core.editor",
    "core.askPass",
    "credential.helper",
    "gpg.program",
    "diff.external",
    "filter.planted.smudge",
    "filter.planted.clean",
    "filter.planted.process",
    "diff.planted.textconv",
    "merge.planted.driver",
    "core.alternateRefsCommand",
    "uploadpack.packObjectsHook",
    "core.gitProxy",
]


def test_no_program_of_the_repository_is_run_and_all_are_reported(lab: Lab, program: Path) -> None:
    for key in PROGRAMS:
        configure(lab, key, str(program))
    git_folder = lab.workspace.adapters_folder / ".git"
    hooks = git_folder / "hooks"
    hooks.mkdir()
    for name in ("reference-transaction", "post-checkout", "post-index-change", "pre-commit", "post-rewrite"):
        (hooks / name).symlink_to(program)
    configure(lab, "core.hooksPath", str(hooks))
    (git_folder / "info" / "attributes").write_text("* filter=planted diff=planted merge=planted\n")
    (git_folder / "planted").write_text(f"[core]\n fsmonitor = {program}\n")
    configure(lab, "include.path", "planted")
    configure(lab, "extensions.worktreeConfig", "true")
    (git_folder / "config.worktree").write_text(f"[core]\n fsmonitor = {program}\n")
    work(lab)
    found = verify(lab.workspace, lab.db).problems
    assert not program.with_name("ran").exists(), program.with_name("ran").read_text()
    assert not [problem for problem in found if not problem.startswith("adapters/.git/")]
    named = "\n".join(found)
    expected = [f"config: {key.lower()} =" for key in (*PROGRAMS, "include.path", "core.hooksPath")]
    for part in [*expected, "info/attributes", "config.worktree", "hooks/post-checkout"]:
        assert part in named, part


def test_missing_objects_are_not_fetched(lab: Lab, program: Path) -> None:
    lab.accept()
    configure(lab, "remote.origin.url", f"ext::{program}")
    configure(lab, "remote.origin.promisor", "true")
    configure(lab, "protocol.ext.allow", "always")
    configure(lab, "extensions.partialClone", "origin")
    configure(lab, "core.repositoryFormatVersion", "1")
    repository = Repository(lab.workspace.adapters_folder)
    weights = repository.folder / ".git" / "objects"
    blob = next(path for path in weights.rglob("*") if path.is_file() and path.stat().st_size > 500)
    blob.unlink()
    found = verify(lab.workspace, lab.db).problems
    assert not program.with_name("ran").exists(), program.with_name("ran").read_text()
    assert any("remote.origin.url = ext::" in problem for problem in found)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("objects/info/alternates", "/somewhere/else\n"),
        ("info/grafts", "0" * 40 + "\n"),
        ("shallow", ""),
        ("refs/replace/" + "a" * 40, ""),
    ],
)
def test_what_hides_or_borrows_objects_is_reported(lab: Lab, name: str, content: str) -> None:
    lab.accept()
    repository = Repository(lab.workspace.adapters_folder)
    path = repository.git_folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content or f"{repository.resolve(LIVE_REF)}\n")
    assert any(problem.startswith("adapters/.git/") for problem in verify(lab.workspace, lab.db).problems)
    path.unlink()


def test_nothing_is_done_while_objects_are_borrowed(lab: Lab) -> None:
    lab.accept()
    lab.accept()
    path = lab.workspace.adapters_folder / ".git" / "objects" / "info" / "alternates"
    path.parent.mkdir(exist_ok=True)
    path.write_text("/somewhere/else\n")
    with pytest.raises(CorruptError, match="from another place") as stopped:
        rollback(lab.workspace, lab.db, 1, "Ada", "worse")
    assert str(path) in stopped.value.message
    assert "repack -a -d" in stopped.value.next_step
    with pytest.raises(CorruptError, match="from another place"):
        version_adapter_files(lab.workspace, lab.db, 1)
    assert any("objects/info/alternates is there" in problem for problem in verify(lab.workspace, lab.db).problems)
    path.unlink()
    rollback(lab.workspace, lab.db, 1, "Ada", "worse")


@pytest.mark.parametrize("name", ["refs/heads/live", "config", "objects"])
def test_a_link_out_of_the_repository_is_reported(lab: Lab, name: str, tmp_path: Path) -> None:
    lab.accept()
    path = lab.workspace.adapters_folder / ".git" / name
    path.rename(tmp_path / "outside")
    path.symlink_to(tmp_path / "outside")
    assert f"adapters/.git/{name} is a symbolic link" in verify(lab.workspace, lab.db).problems


@pytest.mark.parametrize("key", ["core.fsync", "core.hooksPath", "gc.auto"])
def test_a_setting_that_was_removed_is_reported(lab: Lab, key: str) -> None:
    config = lab.workspace.adapters_folder / ".git" / "config"
    subprocess.run(["git", "config", "-f", str(config), "--unset", key], check=True)
    assert any(f"{key} = " in problem and "missing" in problem for problem in verify(lab.workspace, lab.db).problems)


def test_a_place_to_push_to_is_only_a_note(lab: Lab) -> None:
    lab.accept()
    configure(lab, "remote.origin.url", "ssh://example.org/adapters.git")
    configure(lab, "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*")
    subprocess.run(["git", "-C", str(lab.workspace.adapters_folder), "branch", "mine"], check=True)
    report = verify(lab.workspace, lab.db)
    assert report.problems == []
    assert len(report.notes) == 3
    assert "remote.origin.url" in report.notes[1] or "remote.origin.url" in report.notes[0]


FOREIGN = {
    "GIT_CONFIG_PARAMETERS": "'core.fsmonitor=PROGRAM'",
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "core.fsmonitor",
    "GIT_CONFIG_VALUE_0": "PROGRAM",
    "GIT_QUARANTINE_PATH": "/nowhere",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES": "/nowhere",
    "GIT_DEFAULT_HASH": "sha256",
    "GIT_DEFAULT_REF_FORMAT": "reftable",
    "GIT_EXEC_PATH": "/nowhere",
    "GIT_TEMPLATE_DIR": "/nowhere",
    "GIT_SSH_COMMAND": "PROGRAM",
    "GIT_EXTERNAL_DIFF": "PROGRAM",
    "GIT_DIR": "/nowhere",
    "GIT_TRACE": "/nowhere/trace",
    "GIT_REPLACE_REF_BASE": "refs/heads/",
    "GIT_LITERAL_PATHSPECS": "1",
}


def test_variables_of_git_reach_no_call(
    lab: Lab, program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in FOREIGN.items():
        monkeypatch.setenv(name, value.replace("PROGRAM", str(program)))
    made = create_workspace(tmp_path / "made" / "here", "model: bundled\n")
    assert Repository.open(made.adapters_folder).head_branch() == LIVE_REF
    work(lab)
    assert verify(lab.workspace, lab.db).problems == []
    assert not program.with_name("ran").exists()


def test_a_failed_init_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space")

    kept = tmp_path / "mine"
    kept.mkdir()
    (kept / "notes.md").write_text("mine")
    monkeypatch.setattr("store.workspace.Repository.create", fail)
    for folder in (tmp_path / "new" / "deep", kept):
        with pytest.raises(OSError, match="no space"):
            create_workspace(folder, "model: bundled\n")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert [path.name for path in kept.iterdir()] == ["notes.md"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
def test_a_repository_of_another_user_is_refused(lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = lab.workspace.adapters_folder
    os.chown(folder / ".git", 65534, 65534)
    with pytest.raises(ForeignOwnerError, match="could have prepared it") as caught:
        lab.accept()
    assert caught.value.next_step.endswith(f"git config --global --add safe.directory {folder}")
    monkeypatch.setenv("SUDO_UID", "65534")
    assert lab.accept().number == 1
    monkeypatch.delenv("SUDO_UID")
    assert any("could have prepared it" in problem for problem in verify(lab.workspace, lab.db).problems)
    monkeypatch.setenv("HOME", str(tmp_path))
    subprocess.run(["git", "config", "--global", "--add", "safe.directory", str(folder)], check=True)
    assert verify(lab.workspace, lab.db).problems == []
