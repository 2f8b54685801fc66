"""First paint and key latency of the console over a large store, with and without a running engine."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from engine.runtime.child_environment import child_environment
from seal_console.engine_control import ask_for_rounds, start_engine, stop_engine
from seal_console.lab.large_store import make_large_store
from seal_console.lab.terminal import PseudoTerminal
from store.database import open_database
from store.lock import current_user, lock_owner
from store.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

COLUMNS, ROWS = 160, 45
_PAINT_WITHIN_S, _KEY_WITHIN_S = 60.0, 10.0
_CURSOR = "›"


@dataclass(frozen=True, slots=True)
class ConsoleBenchEffort:
    """How much is measured."""

    candidates: int = 100_000
    events: int = 1_000_000
    keys: int = 100
    starts: int = 3
    with_engine: bool = True
    seed: int = 0


def bench_console(
    effort: ConsoleBenchEffort, *, keep: Path | None, out: Path | None, narrate: Callable[[str], None]
) -> dict[str, Any]:
    """Measure; `keep` keeps the store that was made (and uses one that is there), `out` takes all figures as JSON."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = keep or Path(temporary) / "workspace"
        if (folder / "seal.yaml").is_file():
            workspace = Workspace(folder)
        else:
            workspace = make_large_store(
                folder, candidates=effort.candidates, events=effort.events, seed=effort.seed, narrate=narrate
            )
        result = _measured(workspace, effort, narrate)
    if out is not None:
        out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result


def _measured(workspace: Workspace, effort: ConsoleBenchEffort, narrate: Callable[[str], None]) -> dict[str, Any]:
    narrate("first paint")
    result: dict[str, Any] = {
        "schema": 1,
        "effort": asdict(effort),
        "terminal": {"columns": COLUMNS, "rows": ROWS},
        "environment": {
            "python": platform.python_version(), "platform": platform.platform(), "cores": os.cpu_count(),
        },
        "first_paint": _first_paint(workspace, effort.starts),
        "keys": {},
    }  # fmt: skip
    narrate("keys, no engine")
    result["keys"]["no_engine"] = _keys(workspace, effort.keys)
    if effort.with_engine:
        narrate("keys, while a round runs")
        result["keys"]["round_runs"] = _with_engine(workspace, effort.keys)
    return result


def _first_paint(workspace: Workspace, starts: int) -> dict[str, Any]:
    """Seconds from the start of the process to the first screen, and those that Python needs to import Textual."""
    paints, imports = [], []
    for _ in range(starts):
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", "import textual.app, textual.widgets"], check=True, env=child_environment()
        )
        imports.append(time.perf_counter() - began)
        with _console(workspace) as terminal:
            paints.append(terminal.wait_for(_painted, _PAINT_WITHIN_S) - terminal.started)
    return {
        "start_to_paint_s": paints,
        "import_textual_s": imports,
        "paint_after_import_s": median(paints) - median(imports),
    }


def _keys(workspace: Workspace, count: int) -> dict[str, Any]:
    with _console(workspace) as terminal:
        terminal.wait_for(_painted, _PAINT_WITHIN_S)
        figures = {"screens": summary(_screen_changes(terminal, count))}
        terminal.press(b"2")
        terminal.wait_for(lambda lines: _cursor_row(lines) is not None, _KEY_WITHIN_S)
        terminal.settle()
        figures["review_down"] = summary(_moves(terminal, b"j", count))
        figures["review_page"] = summary(_moves(terminal, b"\x04", min(20, count)))
        return {**figures, "resident_bytes": _resident_bytes(terminal.pid)}


def _with_engine(workspace: Workspace, count: int) -> dict[str, Any]:
    db = open_database(workspace.database_file)
    try:
        ask_for_rounds(workspace, db, 1, current_user(), start_engine)
        _wait(lambda: lock_owner(workspace.lock_file) is not None)
        _wait(lambda: bool(db.execute("SELECT 1 FROM live_progress WHERE stage = 'inner updates'").fetchone()))
        figures = _keys(workspace, count)
        figures["engine_still_ran"] = lock_owner(workspace.lock_file) is not None
        stop_engine(workspace, db, current_user())
        _wait(lambda: lock_owner(workspace.lock_file) is None)
    finally:
        db.conn.close()
    return figures


def _screen_changes(terminal: PseudoTerminal, count: int) -> list[float]:
    names = ("Now", "Review", "Versions", "Rounds", "Tasks", "Log")
    found = []
    for number in range(count):
        place = (number + 1) % len(names)
        terminal.settle(0.1)
        at = terminal.press(str(place + 1).encode())
        found.append(terminal.when_shown(partial(_is_current, terminal, names[place]), _KEY_WITHIN_S) - at)
    return found


def _moves(terminal: PseudoTerminal, key: bytes, count: int) -> list[float]:
    found = []
    for _ in range(count):
        terminal.settle(0.05)
        before = _marked_line(terminal)
        at = terminal.press(key)
        found.append(terminal.when_shown(partial(_moved, terminal, before), _KEY_WITHIN_S) - at)
    return found


def _moved(terminal: PseudoTerminal, before: tuple[int | None, str], _lines: list[str]) -> bool:
    return _marked_line(terminal) != before


def summary(seconds: list[float]) -> dict[str, Any]:
    """Median, 95th percentile and worst in milliseconds, with all values."""
    ordered = sorted(seconds)
    return {
        "p50_ms": 1000 * median(ordered),
        "p95_ms": 1000 * ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))],
        "worst_ms": 1000 * ordered[-1],
        "ms": [round(1000 * one, 2) for one in seconds],
    }


def _console(workspace: Workspace) -> PseudoTerminal:
    command = [sys.executable, "-m", "seal_console", "-w", str(workspace.root)]
    return PseudoTerminal(command, columns=COLUMNS, rows=ROWS, environment=child_environment())


def _painted(lines: list[str]) -> bool:
    return any("1 Now" in line for line in lines[:1]) and any("What needs me?" in line for line in lines)


def _cursor_row(lines: list[str]) -> int | None:
    return next((place for place, line in enumerate(lines) if line[1:2] == _CURSOR), None)


def _marked_line(terminal: PseudoTerminal) -> tuple[int | None, str]:
    lines = terminal.lines()
    place = _cursor_row(lines)
    return place, "" if place is None else lines[place][: COLUMNS // 3]


def _is_current(terminal: PseudoTerminal, name: str, _lines: list[str]) -> bool:
    """Whether the name is the one shown in reverse in the first line."""
    line = terminal.screen.display[0]
    at = line.find(name)
    return at >= 0 and bool(terminal.screen.buffer[0][at].reverse)


def _resident_bytes(pid: int) -> int | None:
    try:
        fields = Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()
    except OSError:
        return None
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def _wait(holds: Callable[[], bool], within_s: float = 120.0) -> None:
    until = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > until:
            raise TimeoutError("the engine did not start, or did not stop")
        time.sleep(0.05)
