"""Keeps a core busy until stdin ends: `python -P -m engine.lab.bench.matrix_products`. It says when it begins."""

from __future__ import annotations

import os
import sys
import threading

import torch

_SIZE = 512


def main() -> None:
    """Multiply two matrices for ever, with one thread."""
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    a, b = torch.ones(_SIZE, _SIZE), torch.empty(_SIZE, _SIZE)
    sys.stdout.write("computing\n")
    sys.stdout.flush()
    while True:
        torch.mm(a, a, out=b)


def _end_with_stdin() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
