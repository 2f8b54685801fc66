"""The tree of expected errors, each with the exit code of a command that fails with it.

It is in the lowest layer so that every layer can raise from it. A message says what happened and where; `next_step` is
the command or the change that helps.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of every command; documented in docs/cli.md."""

    DONE = 0
    FAILED = 1
    WRONG_USE = 2
    NOTHING_TO_DO = 3
    ALL_REFUSED = 4
    LOCKED = 5
    ALARM = 6
    TIME_UP = 7
    INTERRUPTED = 130


class SealError(Exception):
    """An expected failure. `problems` lists several problems at once, each with its file, key or line first."""

    exit_code: ExitCode = ExitCode.FAILED

    def __init__(self, message: str, *, next_step: str = "", problems: list[str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.problems = problems or []


class WrongUseError(SealError):
    """The command, its arguments, the settings or an input file are not as they must be."""

    exit_code = ExitCode.WRONG_USE


class NothingToDoError(SealError):
    """There is nothing for this command to work on."""

    exit_code = ExitCode.NOTHING_TO_DO


class AllRefusedError(SealError):
    """Every candidate was refused by the gates."""

    exit_code = ExitCode.ALL_REFUSED


class AlarmError(SealError):
    """The figures of a round are alarming, or an earlier alarm kept something from being accepted."""

    exit_code = ExitCode.ALARM


class TimeUpError(SealError):
    """The time that was given for a run is up; what is measured stays, and the next run resumes the round."""

    exit_code = ExitCode.TIME_UP


class LockedError(SealError):
    """Another live process has the lock that this command needs."""

    exit_code = ExitCode.LOCKED


class CorruptError(SealError):
    """Stored data does not match its record."""
