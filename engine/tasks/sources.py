"""What every reader of a task file hands on: a task as plain data, with the place of each of its parts.

Readers only parse. What the data must hold is checked in `drafts.py` and `checking.py`, alike for every form of file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.input_files.located_yaml import Path as KeyPath
from engine.input_files.located_yaml import nearest_line

if TYPE_CHECKING:
    from store.records import Document


@dataclass(frozen=True, slots=True)
class TaskSource:
    """One task as it stands in a file, not yet checked. `lines` maps key paths inside `data` to lines from 1."""

    file: str
    data: object
    lines: dict[KeyPath, int] = field(default_factory=dict)
    document: Document | None = None
    merge_repeated_questions: bool = False

    def place(self, path: KeyPath = ()) -> str:
        """Return "file:line" of a part, or the file where no line is known."""
        line = nearest_line(self.lines, path)
        return self.file if line is None else f"{self.file}:{line}"


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a reader found in a file: its tasks, and what is wrong with the file itself."""

    sources: list[TaskSource] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def refused(file: str, line: int | None, message: str) -> Parsed:
    """Return what a reader says of a file that it cannot read at all."""
    return Parsed(problems=[f"{file if line is None else f'{file}:{line}'}: {message}"])
