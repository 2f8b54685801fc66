"""The data files that a task of lm-evaluation-harness names: files on this machine, or a problem that names the key.

Only whether they are there is looked at. A data set that would come from the network is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from engine.tasks.drafts import kind_of

if TYPE_CHECKING:
    from pathlib import Path

    from engine.input_files.located_yaml import Path as KeyPath
    from engine.tasks.drafts import SourceReader

DataFormat = Literal["json", "csv"]
_FORMATS = ("json", "csv")
_OPTIONS = ("data_files", "trust_remote_code")
_WITHOUT_SPLITS = "train"


@dataclass(frozen=True, slots=True)
class DataFiles:
    """The files of each split, in the form that all of them have (`json` is also a document a line)."""

    form: DataFormat
    by_split: dict[str, tuple[Path, ...]]


def data_files(reader: SourceReader, data: dict[str, Any], folder: Path) -> DataFiles | None:
    """Return the files of a task, or report and return None; `folder` is what relative paths start from."""
    before = len(reader.problems)
    form = data.get("dataset_path")
    if form not in _FORMATS:
        reader.report(
            ("dataset_path",),
            f"dataset_path: {form!r} is no data set on this machine; it must be json or csv, with the files under "
            "dataset_kwargs.data_files",
        )
    if data.get("dataset_name") is not None:
        reader.report(("dataset_name",), "dataset_name: data files have no parts with names; leave the key out")
    options = data.get("dataset_kwargs")
    if not isinstance(options, dict) or options.get("data_files") is None:
        reader.report(("dataset_kwargs",), "dataset_kwargs.data_files missing: name the files of the data set")
        return None
    reader.unknown_keys(options, _OPTIONS, ("dataset_kwargs",))
    if options.get("trust_remote_code"):
        reader.report(("dataset_kwargs", "trust_remote_code"), "trust_remote_code: no code of a data set is run")
    by_split = _by_split(reader, options["data_files"], folder)
    return DataFiles(cast("DataFormat", form), by_split) if len(reader.problems) == before else None


def _by_split(reader: SourceReader, given: object, folder: Path) -> dict[str, tuple[Path, ...]]:
    path: KeyPath = ("dataset_kwargs", "data_files")
    splits = given if isinstance(given, dict) else {_WITHOUT_SPLITS: given}
    found: dict[str, tuple[Path, ...]] = {}
    for split, names in splits.items():
        listed = names if isinstance(names, list) else [names]
        place = (*path, split) if isinstance(given, dict) else path
        found[split] = tuple(_file(reader, name, place, folder) for name in listed)
    return found


def _file(reader: SourceReader, name: object, path: KeyPath, folder: Path) -> Path:
    if not isinstance(name, str) or not name:
        reader.report(path, f"data_files must be names of files (is {kind_of(name)})")
        return folder
    if "://" in name:
        reader.report(path, f"data_files: {name!r} is not on this machine; the network is never used")
        return folder
    file = folder / name
    try:
        there = file.is_file()
    except ValueError:
        there = False
    if not there:
        reader.report(path, f"data_files: there is no file {name!r} (looked for from the folder of the task file)")
    return file
