"""The part of `verify` that looks at git's own files: configuration, attributes, hooks, borrowed objects, foreign refs.

Nothing found here has an effect on seal-console, which overrides or avoids it all, or stops (borrowed objects); but it
has one on git run by hand.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from store.repository import ATTRIBUTES, BORROWING_FILES, CONFIGURATION, FORMER_MOVE_REF, LIVE_REF, POLICY_REF
from store.version_tags import tag_number

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from store.repository import Repository

_OF_GIT_INIT = {
    "core.repositoryformatversion": {"0"},
    "core.bare": {"false"},
    "core.logallrefupdates": {"true"},
    "core.filemode": {"false", "true"},
    "core.ignorecase": {"true"},
    "core.precomposeunicode": {"true", "false"},
    "core.symlinks": {"false"},
}
_EXPECTED = {**_OF_GIT_INIT, **{key.lower(): {value} for key, value in CONFIGURATION.items()}}
# What somebody sets who pushes adapters to another place; none of it names a program.
_HARMLESS = frozenset({"url", "pushurl", "fetch", "push", "prune", "tagopt", "remote", "merge", "rebase", "mirror"})
_FOREIGN_FILES = {
    "config.worktree": "a second configuration",
    "commondir": "another folder to take the repository from",
    **dict.fromkeys(BORROWING_FILES, "objects borrowed from another place, so every command stops"),
    "info/grafts": "commits with other parents than their own",
    "shallow": "commits without their parents",
    "info/sparse-checkout": "files left out of the working tree",
    "refs/replace": "objects replaced by others",
}


def check_repository(repository: Repository) -> tuple[list[str], list[str]]:
    """Return (problems, notes) about everything in .git that neither `init` nor a version put there."""
    folder = repository.git_folder
    problems, notes = _check_configuration(repository)
    problems += _check_attributes(folder / "info" / "attributes")
    problems += [
        f"adapters/.git/{name} is there: {meaning}" for name, meaning in _FOREIGN_FILES.items() if _has(folder / name)
    ]
    problems += [
        f"adapters/.git/hooks/{path.name} is a hook: git run by hand would run it"
        for path in _files(folder / "hooks")
        if path.suffix != ".sample"
    ]
    linked = [folder / name for name in ("config", "HEAD", "objects", "refs", "info", "packed-refs", "index", "logs")]
    linked += [*(folder / "refs").rglob("*"), *(folder / "objects").glob("*"), *(folder / "objects").glob("*/*")]
    problems += [f"adapters/.git/{path.relative_to(folder)} is a symbolic link" for path in linked if path.is_symlink()]
    if _has(folder / "worktrees"):
        notes.append("adapters/.git/worktrees: other working trees belong to this repository")
    return problems, notes + _foreign_refs(repository)


def _check_configuration(repository: Repository) -> tuple[list[str], list[str]]:
    problems: list[str] = []
    notes: list[str] = []
    found: dict[str, list[str]] = {}
    for key, value in repository.configuration():
        found.setdefault(key, []).append(value)
    for key, values in found.items():
        said = f"adapters/.git/config: {key} = {', '.join(values)}"
        section, _, rest = key.partition(".")
        if key in _EXPECTED and len(values) == 1 and values[0] in _EXPECTED[key]:
            continue
        if key in _EXPECTED:
            problems.append(f"{said}, not {' or '.join(sorted(_EXPECTED[key]))}")
        elif section in {"remote", "branch"} and rest.rpartition(".")[2] in _HARMLESS and not _runs(values):
            notes.append(f"{said} was not set by seal-console, which does not use it")
        else:
            problems.append(f"{said} was not set by seal-console")
    missing = [key for key in CONFIGURATION if key.lower() not in found]
    return problems + [f"adapters/.git/config: {key} = {CONFIGURATION[key]} is missing" for key in missing], notes


def _runs(values: Iterable[str]) -> bool:
    """Return whether an address names a program: `ext::` and other transports that git looks for by name."""
    return any("::" in value for value in values)


def _check_attributes(path: Path) -> list[str]:
    try:
        same = path.read_bytes() == ATTRIBUTES and not path.is_symlink()
    except OSError:
        same = False
    return [] if same else ["adapters/.git/info/attributes is not the file that seal-console wrote"]


def _foreign_refs(repository: Repository) -> list[str]:
    known = {LIVE_REF, POLICY_REF, FORMER_MOVE_REF}
    return [
        f"adapters/ has the ref {ref}, which seal-console does not use"
        for ref in sorted(repository.refs())
        if ref not in known and not ref.startswith(("refs/remotes/", "refs/stash")) and not _is_version(ref)
    ]


def _is_version(ref: str) -> bool:
    tag = ref.removeprefix("refs/tags/")
    return tag_number(tag, "v") is not None or tag_number(tag, "p") is not None


def _has(path: Path) -> bool:
    """Return whether there is such a file, or a folder with something in it."""
    return any(path.iterdir()) if path.is_dir() and not path.is_symlink() else os.path.lexists(path)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
