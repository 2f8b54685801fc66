"""Lets `python -m seal_console` do what `seal-console` does."""

from __future__ import annotations

import sys

from seal_console.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
