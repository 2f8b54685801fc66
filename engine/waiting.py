"""How long the threads of one computation wait for each other busily before they sleep.

OpenMP's threads spin for milliseconds by default. Where something else runs on the machine too, one that spins keeps
the one it waits for from its processor, and both are many times slower. `docs/experiments.md` has the figures.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import MutableMapping

SPINS = 100_000  # longer than threads wait for each other between two small products, and far shorter than by default


def wait_briefly(environ: MutableMapping[str, str] = os.environ) -> None:
    """Set it for GNU's OpenMP, which torch brings on Linux; must be called before torch is imported.

    A user's own `GOMP_SPINCOUNT` or `OMP_WAIT_POLICY` stays.
    """
    if "OMP_WAIT_POLICY" not in environ:
        environ.setdefault("GOMP_SPINCOUNT", str(SPINS))
