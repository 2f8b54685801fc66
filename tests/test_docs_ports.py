"""The examples on the pages about ports run as they are written."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs" / "ports").glob("*.md"))
PORTS = [page for page in PAGES if page.stem != "index"]


def test_every_port_has_a_page() -> None:
    ports = {path.parent.name.removesuffix("s") for path in (ROOT / "engine").glob("*/*.py") if _is_port(path)}
    assert {page.stem for page in PORTS} == ports == {"domain", "gate", "writer", "executor", "tracker"}


@pytest.mark.parametrize("page", PORTS, ids=lambda page: page.stem)
def test_the_example_on_the_page_runs(page: Path) -> None:
    examples = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(examples) == 1
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", examples[0]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def _is_port(path: Path) -> bool:
    return (
        path.stem == path.parent.name.removesuffix("s") and f"class {path.stem.title()}(Protocol)" in path.read_text()
    )
