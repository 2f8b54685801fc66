"""Small suites that any instruct model can be asked, so that the retention gate works on the first day.

They are about what an update must not cost: knowledge, arithmetic, common sense, form, instructions, and refusing what
harms but nothing else. Written for this project. Only prompts that the base answers right can be lost.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from engine.retention.reading import read_suites

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from engine.retention.suites import Retention


def general_suites() -> dict[str, str]:
    """Return the texts of the suite files by name, in order."""
    return {file.name: file.read_text(encoding="utf-8") for file in _files()}


def general_retention() -> Retention:
    """Return the suites themselves, without a workspace."""
    return read_suites([Path(str(file)) for file in _files()])


def _files() -> list[Traversable]:
    folder = resources.files("engine.retention") / "general"
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return [file for file in files if file.name.endswith(".yaml")]
