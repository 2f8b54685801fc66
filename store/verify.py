"""Recomputes every hash, file and chain of a workspace and reports mismatches; changes nothing.

Not guaranteed: anything against somebody who rewrites seal.db, seal.db-head and adapters/ together; the report says how
much only these files vouch for.
"""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from store.database import fetch_value
from store.deciding_files import changed_since_last_round, hash_deciding_files
from store.errors import SealError
from store.events import GENESIS_HASH, chain_head
from store.git_owner import ForeignOwnerError, require_own
from store.half_done import announced_tags, recorded_tag_objects
from store.log_head import log_problems, way_out
from store.repository import Repository
from store.rows import setting_unreadable_rows_aside
from store.schema import schema_problems
from store.verify_git import check_live, check_policy, check_version
from store.verify_repository import check_repository
from store.verify_rows import check_database, check_events, check_recorded_rows
from store.version_rows import list_policy_versions, list_versions, live_version

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlite_utils import Database

    from store.workspace import Workspace


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """The number of checks of each kind, every mismatch in the order in which it was found, and what else to know.

    `notes` name what differs without being wrong.
    """

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    checked: dict[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether everything matches."""
        return not self.problems

    @property
    def first(self) -> str | None:
        """The first thing that does not match."""
        return self.problems[0] if self.problems else None


def verify(workspace: Workspace, db: Database, *, since: str | None = None) -> VerifyReport:
    """Check the whole workspace. Damage is reported, not raised. Run `recover` first after a crash.

    `since` is the hash of an event that was noted elsewhere: the log must still have it.
    """
    report = VerifyReport()
    with setting_unreadable_rows_aside() as unreadable:
        _verify(report, workspace, db, since)
    missing = {f"{what} {name}: its row is missing" for what, name in map(_as_checked, unreadable)}
    report.problems[:] = [*unreadable, *(problem for problem in report.problems if problem not in missing)]
    return report


def _as_checked(unreadable: str) -> tuple[str, str]:
    """Return what the comparison of rows with events calls an unreadable row, which it takes for a missing one."""
    table, key = unreadable.removeprefix("seal.db: table ").split(", ")[:2]
    what = "measures of round" if table == "round_measures" else table.removesuffix("s")
    return what, key.partition(" ")[2]


def _verify(report: VerifyReport, workspace: Workspace, db: Database, since: str | None) -> None:
    _run(report, "database", lambda: check_database(db))
    _run(report, "schema", lambda: (1, schema_problems(db.conn)))
    _run(report, "events", lambda: check_events(db))
    _run(report, "end of the log", lambda: _check_end(db, workspace))
    if since is not None:
        _run(report, "noted end of the log", lambda: _check_since(db, since))
    _run(report, "rows", lambda: check_recorded_rows(db))
    _run(report, "files that decide", lambda: _check_deciding_files(workspace, db, report))
    repository = Repository(workspace.adapters_folder)
    if not repository.git_folder.is_dir() or repository.git_folder.is_symlink():
        report.problems.append(f"{workspace.adapters_folder} is not a git repository")
        return
    try:
        require_own(workspace.adapters_folder)
    except ForeignOwnerError as error:
        report.problems.append(f"{error.message} Nothing in it was checked. {error.next_step}")
        return
    _run(report, "interrupted changes", lambda: _note_announced(db, report))
    _run(report, "versions", lambda: _check_versions(repository, db))
    _run(report, "policy versions", lambda: _check_policies(repository, db))
    _run(report, "live", lambda: (1, check_live(repository, db, live_version(db))))
    _run(report, "git configuration", lambda: _check_repository(repository, report))
    _run(report, "git objects", lambda: (1, [f"git fsck: {line}" for line in repository.check_objects()]))


def verify_without_database(workspace: Workspace) -> VerifyReport:
    """Check what can be checked if the database cannot be opened: git's own objects."""
    report = VerifyReport()
    repository = Repository(workspace.adapters_folder)
    if not repository.git_folder.is_dir() or repository.git_folder.is_symlink():
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
    versions, tag_objects = list_versions(db), recorded_tag_objects(db)
    problems: list[str] = []
    for version in versions:
        problems += check_version(repository, db, version, tag_objects.get(version.tag))
    return len(versions), problems


def _check_policies(repository: Repository, db: Database) -> tuple[int, list[str]]:
    policies, tag_objects = list_policy_versions(db), recorded_tag_objects(db)
    problems: list[str] = []
    for policy in policies:
        problems += check_policy(repository, db, policy, tag_objects.get(policy.tag))
    return len(policies), problems


def _check_deciding_files(workspace: Workspace, db: Database, report: VerifyReport) -> tuple[int, list[str]]:
    report.notes.extend(changed_since_last_round(workspace, db))
    return len(hash_deciding_files(workspace)), []


def _note_announced(db: Database, report: VerifyReport) -> tuple[int, list[str]]:
    announced = announced_tags(db)
    report.notes.extend(
        f"{title} was interrupted; the next command that may write finishes it" for title in announced.values()
    )
    return len(announced), []


def _check_repository(repository: Repository, report: VerifyReport) -> tuple[int, list[str]]:
    problems, notes = check_repository(repository)
    report.notes.extend(notes)
    return 1, problems


def _check_end(db: Database, workspace: Workspace) -> tuple[int, list[str]]:
    file = workspace.database_file
    return 1, [f"{problem}. {way_out(file)}" for problem in log_problems(db.conn, file)]


def _check_since(db: Database, since: str) -> tuple[int, list[str]]:
    if _sequence_of(db, since) is not None:
        return 1, []
    return 1, [f"events: none has the hash {since}: the log was cut or rewritten after that was noted"]


def _sequence_of(db: Database, event_hash: str) -> int | None:
    found: int | None = fetch_value(db, "SELECT sequence FROM events WHERE hash = ?", (event_hash,))
    return 0 if event_hash == GENESIS_HASH else found


def unvouched(db: Database, since: str | None = None) -> list[str]:
    """Return what `verify` cannot vouch for: what nothing outside of this workspace confirms."""
    newest, _ = chain_head(db)
    first = 1 + ((_sequence_of(db, since) or 0) if since else 0)
    said = ["The names of those who decided: whoever may write to this workspace can give any name."]
    if first > newest:
        return said
    events = f"Events {first} to {newest}" if first < newest else f"Event {newest}"
    reason = "whoever can write to this workspace could have rewritten all of its files alike"
    remedy = "To notice that, keep the end of the log elsewhere, and name it at the next verify: --since HASH."
    return [f"{events}, and what they record: {reason}. {remedy}", *said]


@dataclass(frozen=True, slots=True)
class Moment:
    """What changes when somebody else works in a workspace: compared before and after a check."""

    database: int
    files: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, workspace: Workspace, db: Database) -> Moment:
        """Return the present moment of a workspace."""
        folder = workspace.adapters_folder
        git_folder = folder / ".git"
        refs = [*(git_folder / "refs").rglob("*")]
        paths = [git_folder / "HEAD", git_folder / "index", git_folder / "index.lock", folder, *folder.glob("*"), *refs]
        files = tuple((str(path), path.lstat().st_mtime_ns) for path in sorted(paths) if os.path.lexists(path))
        return cls(int(fetch_value(db, "PRAGMA data_version")), files)
