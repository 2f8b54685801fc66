"""Recomputes every hash, file and chain of a workspace and reports mismatches; changes nothing."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from store.errors import SealError
from store.repository import Repository
from store.rows import setting_unreadable_rows_aside
from store.verify_git import check_live, check_policy, check_version
from store.verify_rows import check_database, check_events, check_recorded_rows
from store.version_rows import list_policy_versions, list_versions, live_version

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlite_utils import Database

    from store.workspace import Workspace


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """The number of checks of each kind, and every mismatch in the order in which it was found."""

    problems: list[str] = field(default_factory=list)
    checked: dict[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether everything matches."""
        return not self.problems

    @property
    def first(self) -> str | None:
        """The first thing that does not match."""
        return self.problems[0] if self.problems else None


def verify(workspace: Workspace, db: Database) -> VerifyReport:
    """Check the whole workspace. Damage is reported, not raised. Run `recover` first after a crash."""
    report = VerifyReport()
    with setting_unreadable_rows_aside() as unreadable:
        _verify(report, workspace, db)
    missing = {f"{what} {name}: its row is missing" for what, name in map(_as_checked, unreadable)}
    report.problems[:] = [*unreadable, *(problem for problem in report.problems if problem not in missing)]
    return report


def _as_checked(unreadable: str) -> tuple[str, str]:
    """Return what the comparison of rows with events calls an unreadable row, which it takes for a missing one."""
    table, key = unreadable.removeprefix("seal.db: table ").split(", ")[:2]
    what = "measures of round" if table == "round_measures" else table.removesuffix("s")
    return what, key.partition(" ")[2]


def _verify(report: VerifyReport, workspace: Workspace, db: Database) -> None:
    _run(report, "database", lambda: check_database(db))
    _run(report, "events", lambda: check_events(db))
    _run(report, "rows", lambda: check_recorded_rows(db))
    repository = Repository(workspace.adapters_folder)
    if not repository.git_folder.is_dir():
        report.problems.append(f"{workspace.adapters_folder} is not a git repository")
        return
    _run(report, "versions", lambda: _check_versions(repository, db))
    _run(report, "policy versions", lambda: _check_policies(repository, db))
    _run(report, "live", lambda: (1, check_live(repository, db, live_version(db))))
    _run(report, "git objects", lambda: (1, [f"git fsck: {line}" for line in repository.check_objects()]))


def verify_without_database(workspace: Workspace) -> VerifyReport:
    """Check what can be checked if the database cannot be opened: git's own objects."""
    report = VerifyReport()
    repository = Repository(workspace.adapters_folder)
    if not repository.git_folder.is_dir():
        report.problems.append(f"{workspace.adapters_folder} is not a git repository")
        return report
    _run(report, "git objects", lambda: (1, [f"git fsck: {line}" for line in repository.check_objects()]))
    return report


def _run(report: VerifyReport, name: str, check: Callable[[], tuple[int, list[str]]]) -> None:
    """Run one check; unreadable data counts as a mismatch."""
    try:
        count, problems = check()
    except (SealError, sqlite3.DatabaseError, OSError, ValueError, KeyError, TypeError) as error:
        count, problems = 0, [f"{name}: cannot be read: {error}"]
    report.checked[name] = count
    report.problems.extend(problems)


def _check_versions(repository: Repository, db: Database) -> tuple[int, list[str]]:
    versions = list_versions(db)
    problems: list[str] = []
    for version in versions:
        problems += check_version(repository, db, version)
    return len(versions), problems


def _check_policies(repository: Repository, db: Database) -> tuple[int, list[str]]:
    policies = list_policy_versions(db)
    problems: list[str] = []
    for policy in policies:
        problems += check_policy(repository, db, policy)
    return len(policies), problems
