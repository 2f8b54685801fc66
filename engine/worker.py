"""The engine as a process of its own: `python -m engine.worker OPERATION`.

Parameters come as one JSON object on the first line of stdin; answers go to stdout as one JSON object a line: any
number of {"progress": …}, then one {"result": …} or {"error": …}. The exit status is that of `store.errors.ExitCode`.
When stdin closes, whoever asked is gone: the worker stops as on Ctrl+C, and what was measured stays.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.progress import Progress
from store.clock import utc_now
from store.errors import ExitCode, SealError, WrongUseError
from store.workspace import Workspace

Parameters = dict[str, Any]
Operation = Callable[[Parameters, Callable[[Progress], None]], dict[str, Any]]


def main(arguments: list[str]) -> int:
    """Run one operation; returns the exit status."""
    signal.signal(signal.SIGINT, _interrupt_once)
    channel = _take_stdout()
    # Notices of one library about another are of no use to who runs a command.
    warnings.filterwarnings("ignore", category=FutureWarning)

    def send(message: dict[str, Any]) -> None:
        channel.write(json.dumps(message, ensure_ascii=False) + "\n")
        channel.flush()

    parameters: Parameters = {}
    try:
        operation = _operation(arguments)
        parameters = json.loads(sys.stdin.readline() or "{}")
        threading.Thread(target=_stop_when_alone, daemon=True).start()
        result = operation(parameters, lambda progress: send({"progress": asdict(progress)}))
    except SealError as error:
        send(
            {
                "error": {
                    "kind": type(error).__name__,
                    "message": error.message,
                    "next_step": error.next_step,
                    "problems": error.problems,
                }
            }
        )
        return error.exit_code
    except (KeyboardInterrupt, BrokenPipeError):
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last resort: whoever waits gets a last word and a report
        report = _write_report(parameters)
        message = f"the engine failed unexpectedly: {type(error).__name__}: {error}"
        send(
            {
                "error": {
                    "kind": "SealError",
                    "message": message,
                    "next_step": f"the report is in {report}",
                    "problems": [],
                }
            }
        )
        return ExitCode.FAILED
    send({"result": result})
    return ExitCode.DONE


def _interrupt_once(*_: object) -> None:
    """Interrupt, and let nothing interrupt the tidying up: Ctrl+C and a closed stdin often come together."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def _operation(arguments: list[str]) -> Operation:
    if len(arguments) != 1 or arguments[0] not in OPERATIONS:
        raise WrongUseError(f"the worker's operations are {', '.join(OPERATIONS)}")
    return OPERATIONS[arguments[0]]


def _write_report(parameters: Parameters) -> Path:
    """Write the traceback into the workspace's cache, or into the system's folder for temporary files."""
    known = parameters.get("workspace") or parameters.get("folder")
    folder = Path(known) / "cache" / "reports" if known else Path(tempfile.gettempdir())
    folder.mkdir(parents=True, exist_ok=True)
    report = folder / f"engine-{utc_now().replace(':', '-')}-{os.getpid()}.txt"
    report.write_text(traceback.format_exc(), encoding="utf-8")
    return report


def _take_stdout() -> Any:
    """Keep stdout for messages: whatever a library prints goes to stderr."""
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return channel


def _stop_when_alone() -> None:
    while sys.stdin.readline():
        pass
    os.kill(os.getpid(), signal.SIGINT)


def _run(parameters: Parameters, report: Callable[[Progress], None]) -> dict[str, Any]:
    from engine.round import run_rounds  # noqa: PLC0415 - torch is loaded only for what needs it
    from engine.session import open_session  # noqa: PLC0415

    with open_session(Workspace(Path(parameters["workspace"])), "run", report) as session:
        finished = run_rounds(session, int(parameters.get("rounds", 1)))
    summaries = [
        {"number": one.number, "new_policy_version": one.new_policy_version, **(one.summary or {})} for one in finished
    ]
    all_refused = bool(summaries) and all(one["candidates"] == one["refused"] for one in summaries)
    return {"rounds": summaries, "all_refused": all_refused}


def _evaluate(parameters: Parameters, report: Callable[[Progress], None]) -> dict[str, Any]:
    from engine.evaluation import evaluate  # noqa: PLC0415
    from engine.session import open_session  # noqa: PLC0415

    with open_session(Workspace(Path(parameters["workspace"])), "evaluate", report) as session:
        return evaluate(session, parameters["tasks"], parameters["ways"], int(parameters["edits"]))


def _demo(parameters: Parameters, report: Callable[[Progress], None]) -> dict[str, Any]:
    from engine.demo.story import run_demo  # noqa: PLC0415

    return run_demo(Path(parameters["folder"]), int(parameters["rounds"]), int(parameters["seed"]), report)


def _bench_inner(parameters: Parameters, report: Callable[[Progress], None]) -> dict[str, Any]:
    from engine.bench.inner import Effort, bench_inner  # noqa: PLC0415

    out = parameters.get("out")
    effort = {name: int(parameters[name]) for name in ("rounds", "epochs", "seal_steps") if parameters.get(name)}
    return bench_inner(
        parameters["model"],
        seed=int(parameters["seed"]),
        ways=parameters["ways"],
        updates=int(parameters["updates"]),
        slots=parameters.get("slots"),
        precision=parameters["precision"],
        out=None if out is None else Path(out),
        narrate=lambda sentence: report(Progress("inner updates", 0, 0, note=sentence)),
        effort=Effort(**effort),
    )


def _model_build(parameters: Parameters, report: Callable[[Progress], None]) -> dict[str, Any]:
    from engine.bundled.build import build_model  # noqa: PLC0415

    return build_model(
        Path(parameters["folder"]),
        seed=int(parameters["seed"]),
        steps=parameters.get("steps"),
        narrate=lambda sentence: report(Progress("round", 0, 0, note=sentence)),
    )


def _model_measure(parameters: Parameters, report: Callable[[Progress], None]) -> dict[str, Any]:
    from engine.bundled.measure import measure  # noqa: PLC0415
    from engine.model.base import load_base  # noqa: PLC0415

    base = load_base(parameters["model"])
    return measure(base, int(parameters["seed"]), lambda sentence: report(Progress("exam", 0, 0, note=sentence)))


OPERATIONS: dict[str, Operation] = {
    "run": _run,
    "evaluate": _evaluate,
    "demo": _demo,
    "bench.inner": _bench_inner,
    "model.build": _model_build,
    "model.measure": _model_measure,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
