"""Moving `live`: refs, then working tree. And noticing that an operator moved it with git itself."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from store.clock import utc_now
from store.errors import CorruptError, WrongUseError
from store.half_done import finish_half_done, recorded_tag_objects, tag_remedy
from store.lock import current_user, hold_lock
from store.records import Move
from store.repository import LIVE_REF, Repository
from store.version_rows import get_version, list_versions, live_version, next_move_number, record_move
from store.version_tags import live_name, tag_number, version_tag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlite_utils import Database

    from store.workspace import Workspace

WRITER_WAIT_S = 15.0


def no_checkpoint(step: str) -> None:
    """Do nothing at a named step; crash tests replace this function."""
    del step


@contextmanager
def writing(workspace: Workspace, db: Database, command: str) -> Iterator[Repository]:
    """Hold the repository's writer lock; first finish what a crash interrupted and follow a manual checkout."""
    repository = Repository(workspace.adapters_folder)
    repository.require_folder()
    with hold_lock(workspace.repository_lock_file, command, wait_s=WRITER_WAIT_S):
        finish_half_done(repository, db)
        repository.require_root()
        _follow_head(repository, db)
        yield repository


def sync_checkout(workspace: Workspace, db: Database) -> Move | None:
    """Record a version that was checked out with git by hand as live; None if nothing has changed.

    Raises WrongUseError if the checkout is not a version, with the command that mends it.
    """
    repository = Repository.open(workspace.adapters_folder)
    if _agrees(repository, db):
        return None
    with hold_lock(workspace.repository_lock_file, "sync checkout", wait_s=WRITER_WAIT_S):
        finish_half_done(repository, db)
        return _follow_head(repository, db)


def move_live(
    repository: Repository, refs: Sequence[tuple[str, str | None, str]], checkpoint: Callable[[str], None]
) -> None:
    """Create new tags and move `live` in git, in this order, then the working tree. The caller writes the rows.

    Raises SealError if a ref no longer has its expected old value.
    """
    repository.move_refs(refs)
    checkpoint("refs_moved")
    repository.checkout_live()
    checkpoint("tree_updated")


def commit_of(repository: Repository, db: Database, number: int | None) -> str:
    """Return the commit of a version; None is v0000. Raises CorruptError if its tag is missing or was moved."""
    tag = version_tag(number or 0)
    commit = repository.resolve(f"refs/tags/{tag}")
    if number:
        recorded = get_version(db, number).commit
        if commit != recorded:
            where = "is missing" if commit is None else f"was moved to {commit}"
            raise CorruptError(
                f"Tag {tag} in adapters/ {where}; the version is {recorded}.",
                next_step=tag_remedy(repository, tag, recorded, recorded_tag_objects(db).get(tag)),
            )
    if commit is None:
        raise CorruptError(f"adapters/ has no tag {tag}.", next_step="Restore adapters/ from a backup.")
    return commit


def _agrees(repository: Repository, db: Database) -> bool:
    return repository.head_branch() == LIVE_REF and repository.head_commit() == repository.resolve(
        f"refs/tags/{version_tag(live_version(db) or 0)}"
    )


def _follow_head(repository: Repository, db: Database) -> Move | None:
    if _agrees(repository, db):
        return None
    head = repository.head_commit()
    number = _version_at(repository, db, head)
    recorded = live_version(db)
    if (number or None) == recorded:
        _reattach(repository, head)
        return None
    name = live_name(number)
    move = Move("live", recorded, number or None, "checkout", current_user(), f"{name} was checked out", utc_now())
    # Repeated until it is recorded, so it needs no intent: the checkout is there already.
    repository.move_refs([(LIVE_REF, repository.resolve(LIVE_REF), str(head))])
    repository.attach_head()
    if repository.working_tree_changes():
        repository.checkout_live()
    record_move(db, next_move_number(db), move)
    return move


def _reattach(repository: Repository, head: str | None) -> None:
    """Point `live` and HEAD at the recorded version, which is checked out already."""
    live_before = repository.resolve(LIVE_REF)
    if head is not None and live_before != head:
        repository.move_refs([(LIVE_REF, live_before, head)])
    repository.attach_head()


def _version_at(repository: Repository, db: Database, head: str | None) -> int:
    """Return the number of the version whose commit is `head`, 0 for v0000. Raises WrongUseError for anything else."""
    commits = {version.commit: version.number for version in list_versions(db)}
    for tag, commit in repository.tags().items():
        if tag_number(tag, "v") == 0:
            commits[commit] = 0
    if head is not None and head in commits:
        return commits[head]
    branch = (repository.head_branch() or "").removeprefix("refs/heads/")
    what = f"branch {branch!r}, commit {head or 'none yet'}" if branch else f"commit {head}"
    git = f"git -C {repository.folder}"
    last = version_tag(live_version(db) or 0)
    raise WrongUseError(
        f"{repository.folder} has {what} checked out, which is not an accepted version.",
        next_step=f"{git} reset --hard {last}" if branch == "live" else f"{git} checkout {last}",
    )
