"""The settings of an experiment on a model: those of a preset, with single values changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.bundled import BUNDLED
from engine.model.model_folder import check_model_folder, count_parameters
from engine.settings.presets import preset_for, preset_named
from engine.settings.sections import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping


def experiment_settings(parameters: Mapping[str, Any]) -> tuple[Settings, str]:
    """Return settings, and the name of the preset that they come from.

    `model` is a folder or "bundled"; without `preset`, its size chooses one. `set` changes single values, such as
    self_edit.format=rewrite. Raises WrongUseError if the folder holds no model.
    """
    path = parameters["model"]
    if path != BUNDLED:
        path = str(check_model_folder(path).resolve())
    name = parameters.get("preset")
    preset = preset_named(name or "bundled") if path == BUNDLED or name else preset_for(count_parameters(Path(path)))
    values: dict[str, dict[str, Any]] = {section: dict(keys) for section, keys in preset.values.items()}
    values.setdefault("model", {}).update(path=path, precision=parameters.get("precision", "auto"))
    for change in parameters.get("set", ()):
        key, _, value = change.partition("=")
        section, _, name = key.partition(".")
        values.setdefault(section, {})[name] = value
    return Settings.model_validate(values), preset.name
