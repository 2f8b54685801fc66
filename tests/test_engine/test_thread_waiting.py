"""How long threads of one computation wait busily for each other."""

from __future__ import annotations

import subprocess
import sys

import pytest

from engine.runtime.tuning import limit_openmp_spin

SAYS_WHEN = """
import sys
import engine.jobs.worker
early = "torch" not in sys.modules
try:
    engine.jobs.worker.main(["jobs", '{"workspace": "/nowhere"}'])
finally:
    import os
    print(early, os.environ["GOMP_SPINCOUNT"], file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("set_by_the_user", "expected"),
    [
        ({}, {"GOMP_SPINCOUNT": "100000"}),
        ({"GOMP_SPINCOUNT": "7"}, {"GOMP_SPINCOUNT": "7"}),
        ({"OMP_WAIT_POLICY": "active"}, {"OMP_WAIT_POLICY": "active"}),
    ],
)
def test_what_the_user_set_stays(set_by_the_user: dict[str, str], expected: dict[str, str]) -> None:
    environ = dict(set_by_the_user)
    limit_openmp_spin(environ)
    assert environ == expected


def test_the_worker_sets_it_before_torch_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    done = subprocess.run([sys.executable, "-c", SAYS_WHEN], capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr.splitlines()[-1] == "True 100000", done.stderr
