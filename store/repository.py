"""The git repository of adapters, through GitPython's plumbing: blobs, trees, commits, tags and refs.

Nothing here depends on the user's git configuration or on hooks, and files of the working tree are written here rather
than by git, which would run filters. Objects are durable before refs point at them, and refs move in one transaction
with their expected old values. Not guaranteed: that two processes do not write at once (callers hold the writer lock),
and that the working tree changes in one instant.
"""

from __future__ import annotations

import math
import os
import re
import time
from typing import TYPE_CHECKING

from store.adapter_files import VERSION_NAMES
from store.clock import epoch_s
from store.durable import remove, sync_file, sync_folder, write_file
from store.errors import CorruptError, SealError
from store.git_command import GitCommand

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

LIVE_REF = "refs/heads/live"
POLICY_REF = "refs/heads/policy"
ROOT_TAG_REF = "refs/tags/v0000"
# Until 0.2 a change of `live` recorded itself here; since then seal.db announces it beforehand (store/intents.py).
FORMER_MOVE_REF = "refs/seal/last-move"
_ROOT_MOMENT = "2000-01-01T00:00:00.000Z"
_NO_OBJECT = "0" * 40
BORROWING_FILES = ("objects/info/alternates", "objects/info/http-alternates")
CONFIGURATION = {
    "core.fsync": "all",
    "core.fsyncMethod": "fsync",
    "core.autocrlf": "false",
    "core.fileMode": "false",
    "core.hooksPath": os.devnull,
    "commit.gpgSign": "false",
    "tag.gpgSign": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "user.name": "seal-console",
    "user.email": "seal-console@localhost",
    "advice.detachedHead": "false",
}
# Outranks a global attributes file that would send *.safetensors through LFS or change line ends.
ATTRIBUTES = b"* -text -filter -ident -working-tree-encoding\n"
_REF = re.compile(r"ref: refs/\S+\n?|[0-9a-f]{40}\n?")


class Repository:
    """One adapters folder. Objects are named by their full hexadecimal id."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git_folder = folder / ".git"
        self._git = GitCommand(folder)

    @classmethod
    def create(cls, folder: Path) -> Repository:
        """Make the repository, with the empty version v0000 as root of `live` and `policy`; finish a half-made one."""
        folder.mkdir(parents=True, exist_ok=True)
        repository = cls(folder)
        git = repository._git
        git.text("init", "--quiet", "--template=", "--object-format=sha1", str(folder))
        for key, value in CONFIGURATION.items():
            git.text("config", "--local", key, value)
        sync_file(repository.git_folder / "config")
        (repository.git_folder / "info").mkdir(exist_ok=True)
        write_file(repository.git_folder / "info" / "attributes", ATTRIBUTES)
        if repository.resolve(ROOT_TAG_REF) is None:
            repository._commit_root()
        repository.attach_head()
        return repository

    @classmethod
    def open(cls, folder: Path) -> Repository:
        """Open an existing repository. Raises CorruptError if `folder` is not an adapters repository."""
        repository = cls(folder)
        repository.require_folder()
        repository.require_root()
        return repository

    def require_folder(self) -> None:
        """Raise CorruptError if the folder has no repository of its own, or one that borrows objects.

        git has no setting to ignore borrowed objects: a version could be read from them, and vanish with them.
        """
        if not self.git_folder.is_dir() or self.git_folder.is_symlink():
            raise self._unusable("it has no folder .git")
        for name in BORROWING_FILES:
            if os.path.lexists(path := self.git_folder / name):
                raise CorruptError(
                    f"{path} makes git take objects from another place. seal-console never writes it.",
                    next_step=f"Remove it; if versions need what it names, copy that first: "
                    f"git -C {self.folder} repack -a -d",
                )

    def require_root(self) -> None:
        """Raise CorruptError if the repository has no version to start from."""
        if self.resolve(ROOT_TAG_REF) is None:
            raise self._unusable("it has no tag v0000")

    def _unusable(self, why: str) -> CorruptError:
        return CorruptError(
            f"{self.folder} is not an adapters repository: {why}.",
            next_step="Restore adapters/ from a backup, or create a new workspace: seal-console init DIR",
        )

    def commit_folder(
        self, files: Mapping[str, bytes], parent_commit: str | None, message: str, author: str, at: str
    ) -> str:
        """Commit a flat folder of files durably, touching neither refs nor working tree; return the commit's id.

        `at` (as `utc_now` writes it) and `author` make the commit the same whenever it is made again.
        """
        blobs = {
            name: self._git.text("hash-object", "-w", "--no-filters", "--stdin", stdin=content)
            for name, content in files.items()
        }
        listing = "".join(f"100644 blob {blobs[name]}\t{name}\0" for name in sorted(blobs))
        tree = self._git.text("mktree", "-z", stdin=listing.encode("utf-8"))
        parent = ["-p", parent_commit] if parent_commit else []
        commit = self._git.text("commit-tree", tree, *parent, stdin=_message_bytes(message), env=_signature(author, at))
        self._sync_objects([*blobs.values(), tree, commit])
        return commit

    def write_tag(self, name: str, commit: str, message: str, author: str, at: str) -> str:
        """Write an annotated tag's object durably, without a ref to it yet; return its id."""
        header = f"object {commit}\ntype commit\ntag {name}\ntagger {_identity(author)} {epoch_s(at)} +0000\n\n"
        tag = self._git.text("mktag", stdin=header.encode("utf-8") + _message_bytes(message))
        self._sync_objects([tag])
        return tag

    def move_refs(self, moves: Iterable[tuple[str, str | None, str]]) -> None:
        """Move (ref, expected old id or None if it must be new, new id) all at once or not at all, durably.

        Raises SealError if an old value is not the expected one.
        """
        moves = list(moves)
        lines = "".join(f"update {ref}\0{new}\0{old or _NO_OBJECT}\0" for ref, old, new in moves)
        self._git.text("update-ref", "-z", "--stdin", stdin=lines.encode("utf-8"))
        self.sync_refs(ref for ref, _, _ in moves)

    def sync_refs(self, refs: Iterable[str]) -> None:
        """Make the names of refs durable, folder by folder in the order of the refs."""
        for folder in dict.fromkeys((self.git_folder / ref).parent for ref in refs):
            if folder.is_dir():
                sync_folder(folder)
        sync_folder(self.git_folder)

    def broken_refs(self) -> list[str]:
        """Return HEAD and refs whose files have no content that git could read, as a power cut can leave them."""
        files = [path for path in (self.git_folder / "refs").rglob("*") if path.is_file()]
        names = [path.relative_to(self.git_folder).as_posix() for path in files if path.suffix != ".lock"]
        return [name for name in ["HEAD", *sorted(names)] if not self._is_readable_ref(name)]

    def write_ref(self, ref: str, object_id: str) -> None:
        """Replace the file of a ref that git can no longer read, durably; `move_refs` moves all others."""
        path = self.git_folder / ref
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, f"{object_id}\n".encode())
        self.sync_refs([ref])

    def remove_ref_file(self, ref: str) -> None:
        """Delete the file of a ref that git can no longer read, durably."""
        (self.git_folder / ref).unlink(missing_ok=True)
        self.sync_refs([ref])

    def tag_objects(self, name: str) -> list[tuple[str, str]]:
        """Return (tag object, commit) of all annotated tags called `name`, whether a ref leads to them or not."""
        listing = self._git.text("cat-file", "--batch-all-objects", "--batch-check=%(objecttype) %(objectname)")
        found = []
        for line in listing.splitlines():
            kind, _, object_id = line.partition(" ")
            header = self._git.text("cat-file", "tag", object_id).split("\n")[:3] if kind == "tag" else []
            if header[1:] == ["type commit", f"tag {name}"]:
                found.append((object_id, header[0].removeprefix("object ")))
        return found

    def resolve(self, name: str) -> str | None:
        """Return the id of the commit (or of the blob) that a ref or id names, or None if there is none."""
        found = self._git.text("rev-parse", "--verify", "--quiet", f"{name}^{{}}", allow_failure=True)
        return found or None

    def object_id(self, ref: str) -> str | None:
        """Return the id stored in a ref: for an annotated tag, the tag object's."""
        return self._git.text("rev-parse", "--verify", "--quiet", ref, allow_failure=True) or None

    def object_type(self, name: str) -> str:
        """Return "commit", "tag", "tree" or "blob"."""
        return self._git.text("cat-file", "-t", name)

    def parents(self, commit: str) -> list[str]:
        """Return the ids of a commit's parents."""
        return self._git.text("rev-list", "--parents", "-n", "1", commit).split()[1:]

    def refs(self) -> dict[str, str]:
        """Return all refs by their full name, with the id stored in each."""
        listing = self._git.text("for-each-ref", "--format=%(refname) %(objectname)")
        return dict(line.rpartition(" ")[::2] for line in listing.splitlines())

    def configuration(self) -> list[tuple[str, str]]:
        """Return keys (section and last part in lower case) and values of the repository's own configuration file."""
        file = str(self.git_folder / "config")
        listing = self._git.text("config", "--file", file, "--no-includes", "--list", "-z")
        return [(key, value) for key, _, value in (entry.partition("\n") for entry in listing.split("\0")[:-1])]

    def tags(self) -> dict[str, str]:
        """Return all tags by name, with the id of the commit that each points at."""
        listing = self._git.text(
            "for-each-ref", "--format=%(refname:strip=2) %(objectname) %(*objectname)", "refs/tags"
        )
        found = {}
        for line in listing.splitlines():
            name, own, *peeled = line.split(" ")
            found[name] = peeled[0] if peeled and peeled[0] else own
        return found

    def file_names(self, commit: str) -> list[str]:
        """Return the paths of all files of a commit."""
        listing = self._git.text("ls-tree", "-r", "-z", "--name-only", commit)
        return [name for name in listing.split("\0") if name]

    def read_file(self, commit: str, name: str) -> bytes:
        """Return one file of a commit. Raises CorruptError if it is missing or cannot be read."""
        return self._git.raw("cat-file", "blob", f"{commit}:{name}")

    def read_blob(self, name: str) -> bytes:
        """Return a blob's content by ref or id."""
        return self._git.raw("cat-file", "blob", name)

    def head_commit(self) -> str | None:
        """Return the commit that is checked out."""
        return self.resolve("HEAD")

    def head_branch(self) -> str | None:
        """Return the ref that HEAD follows, or None if it is detached."""
        return self._git.text("symbolic-ref", "--quiet", "HEAD", allow_failure=True) or None

    def attach_head(self) -> None:
        """Make HEAD follow `live` durably, without touching the working tree. git itself would not sync HEAD."""
        if not self._is_readable_ref("HEAD") or self.head_branch() != LIVE_REF:
            write_file(self.git_folder / "HEAD", f"ref: {LIVE_REF}\n".encode())

    def checkout_live(self) -> None:
        """Make HEAD follow `live` and the working tree equal it, durably; files changed by hand are overwritten.

        Each file is replaced in one instant. Files that belong to no version are left alone.
        """
        self.attach_head()
        names = self.file_names(LIVE_REF)
        former = set(self._git.text("ls-files", "-z", allow_failure=True).split("\0")) - {""}
        for name in sorted((former | set(VERSION_NAMES)) - set(names)):
            (self.folder / name).unlink(missing_ok=True)
        for name in names:
            path = self.folder / name
            if path.is_dir() and not path.is_symlink():
                remove(path)
            write_file(path, self.read_file(LIVE_REF, name))
        sync_folder(self.folder)
        self.reset_index()

    def reset_index(self) -> None:
        """Make the index equal `live`, without looking at the working tree: git would run filters on what it finds."""
        try:
            self._git.text("read-tree", LIVE_REF)
        except SealError:
            # A power cut can leave an index that git cannot read; everything in it is in the commit.
            (self.git_folder / "index").unlink(missing_ok=True)
            self._git.text("read-tree", LIVE_REF)

    def index_age_s(self) -> float:
        """Return how long ago the index was written; a missing or unreadable one is as old as can be."""
        path = self.git_folder / "index"
        if not path.exists() or not self._git.succeeds("ls-files", "--stage"):
            return math.inf
        return time.time() - path.stat().st_mtime

    def index_equals(self, commit: str) -> bool:
        """Return whether the index has exactly the files of a commit; one that cannot be read has not."""
        listing = self._git.text("ls-files", "--stage", "-z", allow_failure=True)
        staged = [(entry.split(" ", 2)[1], entry.partition("\t")[2]) for entry in listing.split("\0")[:-1]]
        tree = self._git.text("ls-tree", "-r", "-z", commit).split("\0")[:-1]
        return staged == [(entry.split(" ", 2)[2].partition("\t")[0], entry.partition("\t")[2]) for entry in tree]

    def missing_files(self) -> list[str]:
        """Return the files of HEAD that are not in the folder."""
        head = self.head_commit()
        return [name for name in self.file_names(head) if not os.path.lexists(self.folder / name)] if head else []

    def working_tree_changes(self) -> list[str]:
        """Compare every file in the folder with HEAD, byte by byte; return one sentence for each difference."""
        head = self.head_commit()
        expected = set(self.file_names(head)) if head else set()
        present = {path.relative_to(self.folder).as_posix() for path in self._working_files()}
        changes = [f"{name} is missing from the working tree" for name in sorted(expected - present)]
        changes += [f"{name} is not part of the version" for name in sorted(present - expected)]
        for name in sorted(expected & present):
            if (self.folder / name).is_symlink():
                changes.append(f"{name} is a symbolic link, not a file")
            elif head and (self.folder / name).read_bytes() != self.read_file(head, name):
                changes.append(f"{name} differs from the version")
        return changes

    def check_objects(self) -> list[str]:
        """Run git's own check of all objects and return its complaints."""
        complaints = self._git.complaints("fsck", "--full", "--strict", "--no-dangling", "--no-progress")
        return [line for line in complaints.splitlines() if line and not line.startswith("notice:")]

    def _is_readable_ref(self, name: str) -> bool:
        try:
            return _REF.fullmatch((self.git_folder / name).read_text(encoding="ascii")) is not None
        except (OSError, ValueError):
            return False

    def _working_files(self) -> list[Path]:
        return [
            path
            for path in self.folder.rglob("*")
            if (path.is_file() or path.is_symlink()) and path.relative_to(self.folder).parts[0] != ".git"
        ]

    def _commit_root(self) -> None:
        message = "v0000: nothing accepted yet"
        root = self.commit_folder({}, None, message, "seal-console", _ROOT_MOMENT)
        tag = self.write_tag("v0000", root, message, "seal-console", _ROOT_MOMENT)
        self.move_refs([(LIVE_REF, None, root), (POLICY_REF, None, root), (ROOT_TAG_REF, None, tag)])

    def _sync_objects(self, ids: Sequence[str]) -> None:
        """Sync object files, and the folders that git leaves out whatever core.fsync is."""
        objects = self.git_folder / "objects"
        for object_id in set(ids):
            loose = objects / object_id[:2] / object_id[2:]
            if loose.exists():
                sync_file(loose)
                sync_folder(loose.parent)
            else:
                for pack in (objects / "pack").iterdir():
                    sync_file(pack)
                sync_folder(objects / "pack")
        sync_folder(objects)


def _identity(name: str) -> str:
    cleaned = " ".join("".join(c if c.isprintable() and c not in "<>" else " " for c in name).split())
    return f"{cleaned or 'unknown'} <seal-console@localhost>"


def _signature(author: str, at: str) -> dict[str, str]:
    name = _identity(author).rsplit(" <", 1)[0]
    moment = f"{epoch_s(at)} +0000"
    return {
        "GIT_AUTHOR_NAME": name,
        "GIT_AUTHOR_EMAIL": "seal-console@localhost",
        "GIT_AUTHOR_DATE": moment,
        "GIT_COMMITTER_NAME": "seal-console",
        "GIT_COMMITTER_EMAIL": "seal-console@localhost",
        "GIT_COMMITTER_DATE": moment,
    }


def _message_bytes(message: str) -> bytes:
    return message.replace("\0", "�").rstrip("\n").encode("utf-8", "replace") + b"\n"
