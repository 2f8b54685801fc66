"""Reads `seal.yaml` into settings, and writes the commented default file.

All problems of a file are reported together, each with its line and key; an unknown key with the nearest known one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from engine.bundled import BUNDLED
from engine.input_files.gguf_file import converted_folder
from engine.input_files.located_yaml import Path as KeyPath
from engine.input_files.located_yaml import YamlProblemError, parse_located_yaml
from engine.input_files.text_files import UnreadableFileError, read_text_file
from engine.input_files.validation import InputReader, LocatedData, in_file_order, yaml_problem
from engine.settings.sections import ModelSettings, Section, Settings
from store.errors import WrongUseError
from store.wording import counted
from store.workspace import Workspace

if TYPE_CHECKING:
    from engine.settings.presets import Preset
    from store.records import Round


Check = Callable[[Settings], Iterable[tuple[KeyPath, str]]]


def load_settings(path: Path, check: Check | None = None) -> Settings:
    """Read a settings file; raises WrongUseError that lists every problem in it.

    `check` yields further problems of valid settings, each with the path of its key.
    """
    try:
        text = read_text_file(path, path.parent).text
    except UnreadableFileError as error:
        if not path.is_file():
            raise WrongUseError(
                f"{path}: cannot read the settings: {error}",
                next_step="Make a workspace with 'seal-console init DIR', or name one with -w.",
            ) from error
        raise _refusal(path, [str(error)]) from error
    settings = settings_from_text(text, path, check)
    return settings.model_copy(update={"model": _with_folder(settings.model, path.parent)})


def settings_from_text(text: str, path: Path, check: Check | None = None) -> Settings:
    """Make settings from the text of a settings file; `path` is only for the messages. See `load_settings`."""
    try:
        located = parse_located_yaml(text.removeprefix("\ufeff"))
    except YamlProblemError as error:
        raise _refusal(path, [yaml_problem(path.name, error)]) from error
    reader = InputReader(LocatedData(path.name, located.data, located.lines))
    data = {} if located.data is None else located.data
    if isinstance(data, dict):
        data = {key: value for key, value in data.items() if value is not None}
    settings = reader.read(Settings, data)
    tracking = data.get("tracking") if isinstance(data, dict) else None
    tracked = tracking.get("file") if isinstance(tracking, dict) else None
    if isinstance(tracked, str) and tracked and (problem := _tracking_problem(path.parent, tracked)) is not None:
        reader.report(("tracking", "file"), problem)
    if settings is not None and check is not None:
        for key, message in check(settings):
            reader.report(key, message)
    if settings is None or reader.problems:
        raise _refusal(path, in_file_order(reader.problems))
    return settings


def _with_folder(model: ModelSettings, workspace: Path) -> ModelSettings:
    """Return the section with the model's folder as an absolute path; a relative one begins at the workspace.

    In place of a GGUF file it has the folder that was made of it, if the workspace's cache has it.
    """
    if model.path == BUNDLED:
        return model
    named = os.path.abspath(workspace / os.path.expanduser(model.path))  # noqa: PTH100, PTH111 - looks at no file
    folder = converted_folder(Path(named), Workspace(workspace).cache_folder)
    return model.model_copy(update={"path": named if folder is None else str(folder)})


def settings_of_round(recorded: Round) -> Settings:
    """Return the settings that a round began with; a section or key that did not exist then has its default.

    Before there was racing, nothing raced.
    """
    kept = {}
    for name, section in section_models().items():
        if name in recorded.settings:
            former_keys = section.former_keys
            kept[name] = {former_keys.get(key, key): value for key, value in recorded.settings[name].items()}
    if "round" in kept:
        kept["round"].setdefault("racing", "off")
    return Settings.model_validate(kept)


def default_settings_text(preset: Preset | None = None) -> str:
    """Return the text of a settings file with every key and its meaning above it: at its default, or at the preset's
    value with the default behind it.
    """
    head = ["# Settings of a seal-console workspace. A key that is left out has its default."]
    if preset is not None and preset.values:
        head.append(f"# Preset {preset.name}, {preset.about}; {preset.source}.")
    blocks = ["\n".join(head) + "\n"]
    for name, section in section_models().items():
        lines = [f"# {section.__doc__ or ''}", f"{name}:"]
        chosen = preset.values.get(name, {}) if preset else {}
        for key, key_field in section.model_fields.items():
            lines.append(f"  # {key_field.description}")
            default = _as_yaml(key_field.default)
            line = f"  {key}: {_as_yaml(chosen[key])}  # default {default}" if key in chosen else f"  {key}: {default}"
            lines.append(line)
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def _as_yaml(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def section_models() -> dict[str, type[Section]]:
    """Return each section's name with its model, in the order of the file; the docs are made from this."""
    return {name: type(info.default) for name, info in Settings.model_fields.items()}


def _tracking_problem(root: Path, name: str) -> str | None:
    """Return why a file cannot take the figures of rounds; None if it can."""
    try:
        workspace, file = Workspace(root.resolve()), (root / name).resolve()
        return _file_problem(workspace, file, name)
    except (OSError, ValueError, RuntimeError) as error:
        return f"cannot be the name of a file: {error}"


def _file_problem(workspace: Workspace, file: Path, name: str) -> str | None:
    database = workspace.database_file
    own = {workspace.settings_file, workspace.guardrails_file, workspace.lock_file, database}
    own |= {database.with_name(f"{database.name}-{part}") for part in ("wal", "shm", "journal", "head")}
    if file in own:
        return f"{file.name} is the workspace's own; name another file (is {name!r})"
    folders = (workspace.adapters_folder, workspace.tasks_folder, workspace.retention_folder, workspace.cache_folder)
    taken = next((folder for folder in folders if file.is_relative_to(folder)), None)
    if taken is not None:
        return f"{taken.name}/ is the workspace's own; name a file outside it (is {name!r})"
    if file.is_dir():
        return f"is a folder; name a file ({name!r})"
    if file.exists() and not file.is_file():
        return f"must be an ordinary file (is {name!r})"
    if not file.parent.is_dir():
        return f"there is no folder {file.parent}; create it, or name another file (is {name!r})"
    return None


def _refusal(path: Path, problems: list[str]) -> WrongUseError:
    return WrongUseError(
        f"{path}: {counted(len(problems), 'problem')} in the settings",
        problems=problems,
        next_step="Correct the file; a key that is left out has its default.",
    )
