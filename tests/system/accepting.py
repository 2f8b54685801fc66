"""Workspaces that accept by themselves, and settings under which their rounds raise an alarm or none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from tests.system.workspaces import small_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from store.workspace import Workspace

ACCEPTS = {"automatic": True, "min_reward": None, "min_audit_gain": None}
# Every self-edit is alike by this measure, and two tasks are enough to be sure of it.
ALARMING = {"alike": 0.0, "significance": 0.45}


def accepting_workspace(folder: Path, **sections: dict[str, Any]) -> Workspace:
    workspace = small_workspace(folder, pages=2, train=2, held_out=0, epochs=1)
    change_settings(workspace, acceptance=ACCEPTS, **sections)
    return workspace


def change_settings(workspace: Workspace, **sections: dict[str, Any]) -> None:
    settings = yaml.safe_load(workspace.settings_file.read_text(encoding="utf-8"))
    workspace.settings_file.write_text(yaml.safe_dump({**settings, **sections}), encoding="utf-8")
