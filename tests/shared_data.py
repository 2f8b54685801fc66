"""SEAL's published data beside the checkout; tests that need it are skipped, with the reason, where it is absent."""

from __future__ import annotations

from pathlib import Path

import pytest

SEAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "seal"

needs_seal_data = pytest.mark.skipif(not SEAL_DATA.is_dir(), reason=f"SEAL's published data is not at {SEAL_DATA}")
