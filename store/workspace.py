"""The layout of a workspace: its paths, how it is found and how it is created."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from store.database import create_database
from store.durable import remove, write_file
from store.errors import WrongUseError
from store.expected_failures import read_only
from store.repository import Repository

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

SETTINGS_NAME = "seal.yaml"
ENVIRONMENT_VARIABLE = "SEAL_WORKSPACE"
FORMER_GUARDRAILS_NAMES = ("policy.yaml", "policy.yml")


@dataclass(frozen=True, slots=True)
class Workspace:
    """The paths of one workspace; nothing here looks at the disk."""

    root: Path

    @property
    def settings_file(self) -> Path:
        """The settings: model, inner update, rounds, gates, schedule."""
        return self.root / SETTINGS_NAME

    @property
    def tasks_folder(self) -> Path:
        """Contexts and their questions."""
        return self.root / "tasks"

    @property
    def retention_folder(self) -> Path:
        """Suites of prompts whose answers must not change."""
        return self.root / "retention"

    @property
    def guardrails_file(self) -> Path:
        """Rules and red-team prompts that may veto."""
        return self.root / "guardrails.yaml"

    @property
    def database_file(self) -> Path:
        """The SQLite file: everything that happened."""
        return self.root / "seal.db"

    @property
    def adapters_folder(self) -> Path:
        """The git repository whose working tree is the live adapter."""
        return self.root / "adapters"

    @property
    def cache_folder(self) -> Path:
        """Candidate adapters by content hash; safe to delete."""
        return self.root / "cache"

    def candidate_policy_folder(self, round_number: int) -> Path:
        """A policy that a round has trained and not judged yet."""
        return self.cache_folder / f"policy-of-round-{round_number}"

    @property
    def lock_file(self) -> Path:
        """The engine lock: one engine at a time."""
        return self.root / "engine.lock"

    @property
    def repository_lock_file(self) -> Path:
        """The lock of the one writer of the adapters repository; inside .git, so that the working tree stays clean."""
        return self.adapters_folder / ".git" / "seal-writer.lock"


def find_workspace(explicit: Path | None, environ: Mapping[str, str], start: Path) -> Workspace:
    """Find the workspace: `explicit`, else $SEAL_WORKSPACE, else the nearest folder from `start` upwards.

    Raises WrongUseError if none of them has a seal.yaml, or if the workspace still has a policy.yaml.
    """
    found = workspace_if_any(explicit, environ, start)
    if found is not None:
        return found
    raise WrongUseError(
        f"{start.resolve()} is not in a workspace: neither it nor a folder above it has a {SETTINGS_NAME}.",
        next_step="seal-console init DIR creates one; -w DIR or SEAL_WORKSPACE names one.",
    )


def workspace_if_any(explicit: Path | None, environ: Mapping[str, str], start: Path) -> Workspace | None:
    """Find the workspace as `find_workspace` does; None if none was named and no folder has a seal.yaml."""
    named = explicit or (Path(environ[ENVIRONMENT_VARIABLE]) if environ.get(ENVIRONMENT_VARIABLE) else None)
    if named is not None:
        return _require_new_names(_named_workspace(named, "-w" if explicit else ENVIRONMENT_VARIABLE))
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / SETTINGS_NAME).is_file():
            return _require_new_names(Workspace(folder))
    return None


def is_writable(workspace: Workspace) -> bool:
    """Return whether this process may change the workspace: its folder and, if it exists, its database."""
    database = workspace.database_file
    return os.access(workspace.root, os.W_OK) and (os.access(database, os.W_OK) or not database.exists())


def require_writable(workspace: Workspace) -> None:
    """Raise ReadOnlyError if this process may not change the workspace."""
    if not is_writable(workspace):
        raise read_only(workspace.root)


def create_workspace(
    root: Path, settings_text: str, guardrails_text: str | None = None, suites: Mapping[str, str] | None = None
) -> Workspace:
    """Create a workspace at `root`: folders, database, adapters repository, and last the settings that make it one.

    `suites` are files for retention/, by name. An existing guardrails.yaml or suite is kept. Raises WrongUseError if
    `root` already has a seal.yaml, or is a file.
    """
    workspace = Workspace(root.resolve())
    if workspace.settings_file.exists():
        raise WrongUseError(
            f"{workspace.root} is a workspace already: it has a {SETTINGS_NAME}.",
            next_step=f"seal-console -w {workspace.root} info describes it.",
        )
    if workspace.root.exists() and not workspace.root.is_dir():
        raise WrongUseError(f"{workspace.root} is a file.", next_step="Name an empty or new folder.")
    suite_texts = {workspace.retention_folder / name: text for name, text in (suites or {}).items()}
    with _removing_what_is_new(workspace, suite_texts), _named(workspace.root):
        for folder in (workspace.root, workspace.tasks_folder, workspace.retention_folder, workspace.cache_folder):
            folder.mkdir(parents=True, exist_ok=True)
        create_database(workspace.database_file).close()
        Repository.create(workspace.adapters_folder)
        if guardrails_text is not None and not workspace.guardrails_file.exists():
            write_file(workspace.guardrails_file, guardrails_text.encode("utf-8"))
        for path, text in suite_texts.items():
            if not path.exists():
                write_file(path, text.encode("utf-8"))
        write_file(workspace.settings_file, settings_text.encode("utf-8"))
    return workspace


@contextmanager
def _named(root: Path) -> Iterator[None]:
    """Raise WrongUseError if no folder can be made there; what `expected_failure` knows is left to it."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, FileExistsError) as error:
        raise WrongUseError(
            f"{root} cannot be made: {error.strerror} ({error.filename}).",
            next_step="Name a folder on a file system that can be written to.",
        ) from error


@contextmanager
def _removing_what_is_new(workspace: Workspace, suites: Iterable[Path]) -> Iterator[None]:
    """If the block fails, remove those files and folders of the workspace that were not there before it."""
    database = workspace.database_file
    parts = [
        database,
        *(database.with_name(f"{database.name}{part}") for part in ("-wal", "-shm", "-journal", "-head")),
    ]
    parts += [workspace.tasks_folder, workspace.retention_folder, workspace.cache_folder, workspace.adapters_folder]
    parts += [*suites, workspace.guardrails_file, workspace.settings_file, workspace.root, *workspace.root.parents]
    new = [path for path in parts if not os.path.lexists(path)]
    try:
        yield
    except BaseException:
        for path in new:
            with suppress(OSError):
                if path in {workspace.root, *workspace.root.parents}:
                    path.rmdir()  # fails if something else is in it
                else:
                    remove(path)
        raise


def _named_workspace(folder: Path, named_by: str) -> Workspace:
    workspace = Workspace(folder.resolve())
    if not workspace.settings_file.is_file():
        raise WrongUseError(
            f"{workspace.root} (from {named_by}) is not a workspace: it has no {SETTINGS_NAME}.",
            next_step=f"seal-console init {folder} creates one there.",
        )
    return workspace


def _require_new_names(workspace: Workspace) -> Workspace:
    """Stop at a workspace of an older release, whose rules would otherwise be ignored without a word."""
    for former in FORMER_GUARDRAILS_NAMES:
        if (workspace.root / former).exists():
            raise WrongUseError(
                f"{workspace.root / former} is no longer read: the file is now called "
                f"{workspace.guardrails_file.name}.",
                next_step=f"mv {workspace.root / former} {workspace.guardrails_file}",
            )
    return workspace
