"""SmolLM2-135M-Instruct for tests that need a real chat model: fetched once for this user, or given by a variable."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.model.smollm2 import SMOLLM2, fetched_folder
from engine.runtime.child_environment import child_environment
from store.errors import SealError
from store.lock import hold_lock

VARIABLE = "SEAL_CONSOLE_SMOLLM2"
_WAIT_S = 600.0


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """Return the folder of the model; skips, with the reason, if it is nowhere and cannot be fetched."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    pytest.importorskip("gguf", reason="the package gguf, which converts SmolLM2, is not installed")
    folder = fetched_folder(os.environ)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with hold_lock(folder.parent / "tests.lock", "fetch smollm2", wait_s=_WAIT_S):  # several processes test at once
        command = [sys.executable, "-m", "seal_console", "model", "fetch", SMOLLM2, "--json"]
        done = subprocess.run(command, env=child_environment(), capture_output=True, text=True, check=False)
    said = json.loads((done.stdout.splitlines() or ["{}"])[-1])
    if said.get("error", {}).get("kind") == SealError.__name__:  # no index or no pip; a wrong package is another kind
        pytest.skip(f"SmolLM2 cannot be fetched here: {said['error']['message']}; {VARIABLE} may name its folder")
    assert done.returncode == 0, done.stderr
    return folder
