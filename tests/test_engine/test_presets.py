"""Presets by size of model: valid, complete in the file, and chosen by what the weights hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.bundled import BUNDLED
from engine.model.model_folder import count_parameters, model_folder
from engine.settings.presets import PRESETS, preset_for, preset_named
from engine.settings.reading import default_settings_text, settings_from_text
from engine.settings.sections import Settings

if TYPE_CHECKING:
    from engine.settings.presets import Preset


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_a_preset_is_what_its_file_says(preset: Preset) -> None:
    text = default_settings_text(preset)
    settings = settings_from_text(text, Path("seal.yaml"))
    assert settings == Settings.model_validate(preset.values)
    for section, keys in preset.values.items():
        for key, value in keys.items():
            written = getattr(getattr(settings, section), key)
            assert (list(written) if isinstance(written, tuple) else written) == value
            assert f"  {key}: " in text
    assert text.count("# default ") - text.count("# default cleans") == sum(map(len, preset.values.values()))
    assert (preset.name in text.splitlines()[1]) == bool(preset.values)


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        (1_200_000, "bundled"),
        (135_000_000, "small"),
        (500_000_000, "small"),
        (1_500_000_000, "1-3b"),
        (7_600_000_000, "7b"),
        (70_000_000_000, "7b"),
    ],
)
def test_size_chooses_a_preset(parameters: int, name: str) -> None:
    assert preset_for(parameters) is preset_named(name)


def test_the_bundled_model_has_the_bundled_preset() -> None:
    parameters = count_parameters(model_folder(BUNDLED))
    assert 1_000_000 < parameters < 2_000_000
    assert preset_for(parameters).name == "bundled"
