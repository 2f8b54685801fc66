"""A report of an unexpected failure: its traceback, in a file whose path is shown."""

from __future__ import annotations

import os
import tempfile
import traceback
from pathlib import Path

from store.clock import utc_now


def write_report(folder: Path | None) -> Path:
    """Write the traceback of the current exception below a workspace, or to the system's temporary folder."""
    reports = Path(tempfile.gettempdir()) if folder is None else folder / "cache" / "reports"
    reports.mkdir(parents=True, exist_ok=True)
    report = reports / f"engine-{utc_now().replace(':', '-')}-{os.getpid()}.txt"
    report.write_text(traceback.format_exc(), encoding="utf-8")
    return report
