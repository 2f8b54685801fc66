"""Reads `seal.yaml` into settings, and writes the commented default file.

All problems of a file are reported together, each with the file and the key; an unknown key with the nearest known one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from engine.input_files.located_yaml import YamlProblemError, parse_located_yaml
from engine.settings.sections import (
    Settings,
)
from store.errors import WrongUseError
from store.wording import counted, suggestion

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

    from store.records import Round


_NEXT_STEP = "Correct the file; a key that is left out takes its default."


def load_settings(path: Path) -> Settings:
    """Read a settings file; raises WrongUseError that lists every problem in it."""
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise WrongUseError(
            f"{path}: cannot read the settings: {error.strerror or error}",
            next_step="Make a workspace with 'seal-console init DIR', or name one with -w.",
        ) from error
    except UnicodeDecodeError as error:
        raise _refusal(path, [f"{path.name}: not UTF-8 at byte {error.start}"]) from error
    return settings_from_text(text, path)


def settings_from_text(text: str, path: Path) -> Settings:
    """Make settings from the text of a settings file; `path` is only for the messages."""
    try:
        data = parse_located_yaml(text.removeprefix("\ufeff")).data
    except YamlProblemError as error:
        place = path.name if error.line is None else f"{path.name}:{error.line}"
        raise _refusal(path, [f"{place}: {error.message}"]) from error
    if data is None:
        return Settings()
    if not isinstance(data, dict):
        raise _refusal(path, [f"{path.name}: must be sections with keys, such as 'model:'"])
    sections = {key: value for key, value in data.items() if value is not None}
    try:
        return Settings.model_validate(sections)
    except ValidationError as error:
        raise _refusal(path, _problems(error, path.name)) from error


def settings_of_round(recorded: Round) -> Settings:
    """Return the settings that a round began with. A section that did not exist then takes its defaults."""
    kept = {name: recorded.settings[name] for name in Settings.model_fields if name in recorded.settings}
    return Settings.model_validate(kept)


def default_settings_text() -> str:
    """Return the text of a settings file with every key at its default and its meaning above it."""
    blocks = ["# Settings of a seal-console workspace. A key that is left out takes the default shown here.\n"]
    for name, section in section_models().items():
        lines = [f"# {section.__doc__ or ''}", f"{name}:"]
        for key, key_field in section.model_fields.items():
            lines += [f"  # {key_field.description}", f"  {key}: {_yaml_value(key_field.default)}"]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def section_models() -> dict[str, type[BaseModel]]:
    """Return each section's name with its model, in the order of the file; docs are made from this."""
    return {name: _section_model(info) for name, info in Settings.model_fields.items()}


def _section_model(info: FieldInfo) -> type[BaseModel]:
    annotation = info.annotation
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        raise TypeError("every field of Settings is a section")
    return annotation


def _yaml_value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _refusal(path: Path, problems: list[str]) -> WrongUseError:
    count = counted(len(problems), "problem")
    return WrongUseError(f"{path}: {count} in the settings", problems=problems, next_step=_NEXT_STEP)


def _problems(error: ValidationError, file_name: str) -> list[str]:
    by_key: dict[tuple[int | str, ...], list[ErrorDetails]] = {}
    for detail in error.errors():
        by_key.setdefault(_key_path(detail["loc"]), []).append(detail)
    return [f"{file_name}: {'.'.join(map(str, key))}: {_message(details)}" for key, details in by_key.items()]


def _key_path(loc: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Cut off what pydantic adds to a place, such as the names of the alternatives of a union."""
    return loc[:2]


def _message(details: list[ErrorDetails]) -> str:
    first = details[0]
    if first["type"] == "extra_forbidden":
        return _unknown_key(first["loc"])
    if first["type"] == "value_error":
        return f"{first['ctx']['error']} (is {first['input']!r})"
    if first["type"] in {"model_type", "model_attributes_type"}:
        return "must be a section with keys below it"
    wanted = dict.fromkeys(_wanted(detail) for detail in details)
    return f"must be {' or '.join(wanted)} (is {first['input']!r})"


def _unknown_key(loc: tuple[int | str, ...]) -> str:
    known = Settings.model_fields if len(loc) == 1 else section_models()[str(loc[0])].model_fields
    return f"unknown key; {suggestion(str(loc[-1]), known)}"


def _wanted(detail: ErrorDetails) -> str:
    if detail["type"] == "string_pattern_mismatch":
        return _alternatives(detail["loc"])
    if detail["loc"][1:2] == ("target_modules",) and detail["type"] != "literal_error":
        return "a list of module names"
    message = detail["msg"].removeprefix("Input should be ").removeprefix("String should have ")
    return message.split(", unable to parse")[0]


def _alternatives(loc: tuple[int | str, ...]) -> str:
    description = section_models()[str(loc[0])].model_fields[str(loc[1])].description or ""
    return description.split(";")[0]
