"""Loads and checks the base that the settings name: a folder, or one that is made once of a GGUF file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.bundled import BUNDLED
from engine.generation.self_check import check_base
from engine.input_files.gguf_file import folder_in_cache, named_gguf
from engine.model.base import BaseModel, load_base
from engine.model.gguf_conversion import convert_gguf
from engine.runtime.progress import Progress, Report
from engine.settings.sections import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

_checked: set[tuple[str, str, str]] = set()  # fingerprint, precision and device that this process has checked


def load_base_of(settings: Settings) -> BaseModel:
    """Load the base that the settings name, and check that the engine computes with it what others would."""
    model = settings.model
    base = load_base(
        model.path,
        device=model.device,
        precision=model.precision,
        trust_remote_code=model.trust_remote_code,
        prompt_style=model.prompt_style,
        max_length=model.max_length,
    )
    key = (base.fingerprint, str(base.precision), str(base.device))
    if key not in _checked:
        check_base(base)
        _checked.add(key)
    return base


def facts_of(base: BaseModel) -> dict[str, Any]:
    """Return what `model check` says about a base."""
    return {
        **base.described(),
        "architecture": type(base.model).__name__,
        "parameters": base.model.num_parameters(),
        "device": str(base.device),
        "window": base.window_tokens,
        "chat_template": base.encoder.uses_chat_template,
    }


def with_folder_of_gguf(settings: Settings, cache_folder: Path, report: Report) -> Settings:
    """Return settings whose model is a folder: if they name a GGUF file, the one that the cache has or gets of it."""
    path = settings.model.path
    gguf = None if path == BUNDLED else named_gguf(Path(path))
    if gguf is None:
        return settings
    target = folder_in_cache(gguf, cache_folder)
    if not target.is_dir():
        convert_checked(gguf, target, report, settings=settings)
    return _with_path(settings, target)


def convert_checked(
    gguf: Path, target: Path, report: Report, *, dtype: str = "bfloat16", settings: Settings | None = None
) -> dict[str, Any]:
    """Convert a GGUF file into a new folder that can be a base under the settings; returns what it is.

    Raises WrongUseError, leaving nothing behind, if it cannot be read exactly or cannot be a base.
    """
    under = Settings() if settings is None else settings

    def check(folder: Path) -> Mapping[str, Any]:
        report(Progress("round", 0, 0, note="Loading and measuring the converted model."))
        return facts_of(load_base_of(_with_path(under, folder)))

    report(Progress("round", 0, 0, note=f"Converting {gguf} into {target}."))
    found = convert_gguf(gguf, target, dtype=dtype, check=check)
    for note in found["notes"]:
        report(Progress("round", 0, 0, note=note))
    return found


def _with_path(settings: Settings, folder: Path) -> Settings:
    return settings.model_copy(update={"model": settings.model.model_copy(update={"path": str(folder)})})
