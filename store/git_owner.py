"""Refuses a repository of another user, as git does by itself unless it is told which repository to use.

Not guaranteed: anything about files inside the repository that have another owner than the repository.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from typing import TYPE_CHECKING

from store.errors import SealError

if TYPE_CHECKING:
    from pathlib import Path


class ForeignOwnerError(SealError):
    """The adapters repository belongs to another user, who could have prepared it."""


def require_own(folder: Path) -> None:
    """Raise ForeignOwnerError unless the repository in `folder` is this user's, or is listed in their safe.directory.

    Under sudo, repositories of the user who called it count as own, as they do for git.
    """
    trusted = _trusted_users()
    foreign = next((path for path in (folder, folder / ".git") if path.exists() and _owner(path) not in trusted), None)
    if foreign is None or _is_listed(folder):
        return
    raise ForeignOwnerError(
        f"{foreign} belongs to {_name(_owner(foreign))}, not to {_name(os.geteuid())}, who runs this: another user "
        "could have prepared it.",
        next_step=f"If you trust that user: git config --global --add safe.directory {folder.absolute()}",
    )


def _trusted_users() -> set[int]:
    user = os.geteuid()
    called_sudo = os.environ.get("SUDO_UID", "")
    return {user, int(called_sudo)} if user == 0 and called_sudo.isdecimal() else {user}


def _owner(path: Path) -> int:
    return path.lstat().st_uid


def _is_listed(folder: Path) -> bool:
    """Return whether the user's own git configuration, and only that, lists the folder in safe.directory."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    asked = subprocess.run(
        ["git", "config", "--global", "--get-all", "-z", "safe.directory"],
        env=kept, cwd="/", capture_output=True, check=False,
    )  # fmt: skip
    listed: set[str] = set()
    for entry in asked.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]:
        listed = {*listed, entry} if entry else set()  # an empty entry takes back those before it
    places = {str(folder.absolute()), str(folder.resolve())}
    return "*" in listed or any(entry.rstrip("/") in places for entry in listed)


def _name(user: int) -> str:
    try:
        return f"{pwd.getpwuid(user).pw_name} (user {user})"
    except KeyError:
        return f"user {user}"
