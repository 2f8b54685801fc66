"""Settings for all tests."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, settings

from tests.smollm2 import smollm2

if TYPE_CHECKING:
    import pytest

__all__ = ["smollm2"]

# Tests run side by side, one on each core: a process that spins on every core would slow its neighbour many times over.
# This comes before anything imports torch, and child processes inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# A busy machine is slow, not wrong: how long an example takes is no verdict of a test.
settings.register_profile("seal", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("seal")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--update-pictures` keeps the console's screens as they are drawn now."""
    parser.addoption("--update-pictures", action="store_true", help="keep the screens as they are drawn now")
