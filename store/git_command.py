"""Running git in one folder so that nothing from outside counts, and no program that the folder names is run.

The user's and the machine's configuration and every GIT_ variable of the environment are left out. The repository's own
configuration cannot be left out, so each call overrides whatever in it would run a program, hide objects or make writes
less durable. Drivers that only attributes reach (filters, textconv) are not overridden: no command here uses them.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from store.errors import SealError
from store.git_owner import require_own

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from git.cmd import Git

_OVERRIDES = {
    # programs
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "core.sshCommand": "false",
    "core.askPass": "false",
    "core.pager": "cat",
    "core.editor": "false",
    "core.alternateRefsCommand": "true",
    "credential.helper": "",
    "gpg.program": "false",
    "diff.external": "",
    "protocol.allow": "never",
    "log.showSignature": "false",
    "commit.gpgSign": "false",
    "tag.gpgSign": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    # what is read and written
    "core.attributesFile": os.devnull,
    "core.excludesFile": os.devnull,
    "core.autocrlf": "false",
    "core.fileMode": "false",
    "core.sparseCheckout": "false",
    "core.splitIndex": "false",
    "core.untrackedCache": "false",
    "core.commitGraph": "false",
    "core.multiPackIndex": "false",
    "core.logAllRefUpdates": "true",
    "init.defaultRefFormat": "files",
    # durability
    "core.fsync": "all",
    "core.fsyncMethod": "fsync",
}
_LISTENERS: list[Callable[[str, tuple[str, ...]], None]] = []


@contextmanager
def listen_to_commands(listener: Callable[[str, tuple[str, ...]], None]) -> Iterator[None]:
    """Pass folder and arguments of each git command to `listener`, from any thread, while the block runs."""
    _LISTENERS.append(listener)
    try:
        yield
    finally:
        _LISTENERS.remove(listener)


class GitCommand:
    """The git program on one repository, named outright so that GIT_DIR and the like from outside do not count."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        whole = folder.absolute()  # git reads relative names from the folder that it is started in
        self._environment = {
            "GIT_DIR": str(whole / ".git"),
            "GIT_WORK_TREE": str(whole),
            "GIT_INDEX_FILE": str(whole / ".git" / "index"),
            "GIT_OBJECT_DIRECTORY": str(whole / ".git" / "objects"),
            "GIT_COMMON_DIR": str(whole / ".git"),
            "GIT_NAMESPACE": "",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_ALLOW_PROTOCOL": "",  # outranks protocol.*.allow of the repository, which protocol.allow does not
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_GRAFT_FILE": os.devnull,
            "GIT_SHALLOW_FILE": "",
            **_as_environment(_OVERRIDES),
        }
        self._is_own = False
        self._program: Git | None = None

    def raw(self, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
        """Run one command and return its standard output. Raises SealError if it fails."""
        status, output, complaints = self._execute(arguments, stdin, env)
        if status != 0:
            raise SealError(
                f"git {arguments[0]} failed in {self._folder}: {complaints.strip() or f'exit status {status}'}",
                next_step="seal-console verify names what is damaged.",
            )
        return output

    def text(
        self, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None, allow_failure: bool = False
    ) -> str:
        """Run one command and return its output as text without the last newline; "" for a failure that is allowed."""
        if allow_failure:
            status, output, _ = self._execute(arguments, stdin, env)
            return output.decode("utf-8", "replace").rstrip("\n") if status == 0 else ""
        return self.raw(*arguments, stdin=stdin, env=env).decode("utf-8", "replace").rstrip("\n")

    def succeeds(self, *arguments: str) -> bool:
        """Run one command and return whether it succeeded."""
        return self._execute(arguments, b"", None)[0] == 0

    def complaints(self, *arguments: str) -> str:
        """Run one checking command; return its output if it failed, "" if it found nothing."""
        status, output, complaints = self._execute(arguments, b"", None)
        return "" if status == 0 else f"{output.decode('utf-8', 'replace')}\n{complaints}"

    def _execute(
        self, arguments: tuple[str, ...], stdin: bytes, env: Mapping[str, str] | None
    ) -> tuple[int, bytes, str]:
        if not self._is_own:
            require_own(self._folder)
            self._is_own = True
        for listener in tuple(_LISTENERS):
            listener(str(self._folder), arguments)
        environment = {**self._environment, **(env or {})}
        with tempfile.TemporaryFile() as stream:
            stream.write(stdin)
            stream.seek(0)
            result: Any = self._run(
                [*_without_foreign_variables(environment), "git", *arguments],
                istream=stream,
                env=environment,
                with_extended_output=True,
                with_exceptions=False,
                stdout_as_string=False,
                strip_newline_in_stdout=False,
            )
        status, output, complaints = result
        return int(status), bytes(output), str(complaints)

    def _run(self, command: list[str], **options: Any) -> Any:
        if self._program is None:
            self._program = _load_git(str(self._folder))
        from git.exc import GitCommandNotFound  # noqa: PLC0415 - as late as git itself

        try:
            return self._program.execute(command, **options)
        except GitCommandNotFound as error:
            raise _no_git() from error


def _as_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return settings in the variables through which git takes them as if from the command line."""
    pairs = list(settings.items())
    numbered = {f"GIT_CONFIG_KEY_{place}": key for place, (key, _) in enumerate(pairs)}
    numbered |= {f"GIT_CONFIG_VALUE_{place}": value for place, (_, value) in enumerate(pairs)}
    return {"GIT_CONFIG_COUNT": str(len(pairs)), **numbered}


def _without_foreign_variables(environment: Mapping[str, str]) -> list[str]:
    """Return the beginning of a command that leaves out inherited GIT_ variables; GitPython can only add some.

    An empty value is not enough: git only asks whether GIT_QUARANTINE_PATH is there.
    """
    foreign = sorted(name for name in os.environ if name.startswith("GIT_") and name not in environment)
    return ["env", *(part for name in foreign for part in ("-u", name))] if foreign else []


def _load_git(folder: str) -> Git:
    """Import GitPython late: it looks for the program at import, and a console that only reads needs neither."""
    try:
        from git.cmd import Git  # noqa: PLC0415
    except ImportError as error:
        raise _no_git() from error
    return Git(folder)


def _no_git() -> SealError:
    return SealError(
        "git is not found; accepted edits are kept in git.",
        next_step="Install git 2.36 or newer, for example: apt-get install git; or put its folder into PATH.",
    )
