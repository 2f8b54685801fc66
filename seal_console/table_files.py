"""Writes a table to a file: CSV for spreadsheets, JSON for programs.

In CSV, text that a spreadsheet would take for a formula gets an apostrophe in front, and control characters become
visible signs; JSON carries every value exactly. The file is written completely or not at all, and no file is
overwritten. A console in a browser writes to the workspace's folder for exports only.
"""

from __future__ import annotations

import csv
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import IO, TYPE_CHECKING

from store.clock import utc_now
from store.database import open_to_read
from store.errors import WrongUseError
from store.sanitize import json_line, sanitize, sanitize_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from sqlite_utils import Database

    from store.workspace import Workspace

Value = str | int | float | bool | None
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
EXPORTS_NAME = "exports"
_BATCH = 500


@dataclass(frozen=True, slots=True)
class TableExport:
    """A table to write: the file's name, the headings, and a function that reads the rows in order."""

    name: str
    headers: tuple[str, ...]
    rows: Callable[[Database], Iterable[Sequence[Value]]]


def suggested_path(workspace: Workspace, name: str) -> Path:
    """Return a path in the workspace's folder for exports, with the time in it."""
    moment = utc_now()[:19].replace(":", "").replace("-", "").replace("T", "-")
    return workspace.root / EXPORTS_NAME / f"{name}-{moment}.csv"


def path_in_exports(workspace: Workspace, name: str) -> Path:
    """Return the path of a file in the workspace's folder for exports.

    Raises WrongUseError if `name` is not the plain name of a file, or if the folder is a link to another one.
    """
    require_own_exports(workspace)
    if not name or name.startswith(".") or any(character in "/\\\0" for character in name):
        raise WrongUseError(
            f"Not the name of a file in {EXPORTS_NAME}/: '{name}'.",
            next_step="In a browser, name a file without a folder.",
        )
    return workspace.root / EXPORTS_NAME / name


def require_own_exports(workspace: Workspace) -> None:
    """Raise WrongUseError if the folder for exports is a link to another one."""
    folder = workspace.root / EXPORTS_NAME
    if folder.is_symlink():
        raise WrongUseError(f"{EXPORTS_NAME}/ is a link: nothing is written there.", next_step=f"Remove {folder}.")


def export_table(workspace: Workspace, table: TableExport, path: Path) -> int:
    """Read the rows on a connection of their own and write them; return how many."""
    db = open_to_read(workspace.database_file)
    try:
        return write_table(path, table.headers, table.rows(db))
    finally:
        db.conn.close()


def write_table(path: Path, headers: Sequence[str], rows: Iterable[Sequence[Value]]) -> int:
    """Write rows in the format of the path's ending, .csv or .json; return how many.

    Raises WrongUseError for another ending, an existing file, or a folder that cannot be written to.
    """
    write = {".csv": write_csv, ".json": _write_json}.get(path.suffix.lower())
    if write is None:
        raise WrongUseError(f"{path} does not end in .csv or .json.", next_step="Name a file that does.")
    return _write_new(path, lambda file: write(file, headers, rows))


def write_picture(workspace: Workspace, picture: str) -> Path:
    """Write an SVG file into the workspace's folder for exports and return its path. Raises WrongUseError."""
    path = suggested_path(workspace, "screen").with_suffix(".svg")
    _write_new(path, lambda file: file.write(picture))
    return path


def _write_new(path: Path, write: Callable[[IO[str]], int]) -> int:
    """Write a new file completely or not at all; return what `write` does."""
    unfinished = path.with_name(f".{path.name}.part-{os.getpid()}")
    try:
        if path.exists() or path.is_symlink():
            raise WrongUseError(f"{path} exists and is not overwritten.", next_step="Name another file.")
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("x", encoding="utf-8", newline="") as file:
            result = write(file)
        unfinished.rename(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WrongUseError(f"{path} cannot be written: {reason}.", next_step="Name another file.") from error
    finally:
        with suppress(OSError, ValueError):
            unfinished.unlink(missing_ok=True)
    return result


def as_text(workspace: Workspace, table: TableExport, most: int) -> tuple[str, int]:
    """Read the first rows of a table as lines with tabs between cells, for the clipboard; also how many they are."""
    db = open_to_read(workspace.database_file)
    try:
        rows = list(islice(table.rows(db), most))
    finally:
        db.conn.close()
    cells = [table.headers, *([sanitize_line("" if value is None else str(value)) for value in row] for row in rows)]
    return "\n".join("\t".join(row) for row in cells), len(rows)


def in_batches(keys: Sequence[int], size: int = _BATCH) -> Iterator[Sequence[int]]:
    """Cut keys into parts that one query takes."""
    for start in range(0, len(keys), size):
        yield keys[start : start + size]


def write_csv(file: IO[str], headers: Sequence[str], rows: Iterable[Sequence[Value]]) -> int:
    """Write rows as CSV under their headings; return how many."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([_cell(header) for header in headers])
    count = 0
    for row in rows:
        writer.writerow([_cell(value) for value in row])
        count += 1
    return count


def _write_json(file: IO[str], headers: Sequence[str], rows: Iterable[Sequence[Value]]) -> int:
    count = 0
    file.write("[")
    for row in rows:
        file.write(",\n" if count else "\n")
        file.write(json_line(dict(zip(headers, row, strict=True))))
        count += 1
    file.write("\n]\n" if count else "]\n")
    return count


def _cell(value: Value) -> str | int | float:
    if value is None:
        return ""
    if isinstance(value, bool):
        return json.dumps(value)
    if not isinstance(value, str):
        return value
    return f"'{sanitize(value)}" if value.startswith(FORMULA_SIGNS) else sanitize(value)
