"""Runs a ladder from the parameters of `lab ladder`: settings of a preset, passages of files, one seed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.lab.bench.subject import described_environment
from engine.lab.ladder.experiment import SCHEMA, Ladder, LadderSize
from engine.lab.ladder.passages import PassageFiles, draw_passages
from engine.lab.model_settings import experiment_settings
from engine.loop.base_loading import load_base_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.runtime.progress import Report


def run_ladder(parameters: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Climb one ladder; returns its figures with everything that they depend on."""
    began, cpu_began = time.perf_counter(), time.process_time()
    settings, preset = experiment_settings(parameters)
    teacher, warm_up = parameters.get("teacher"), parameters.get("warm_up")
    files = PassageFiles(
        Path(parameters["passages"]), Path(teacher) if teacher else None, Path(warm_up) if warm_up else None
    )
    seed = int(parameters["seed"])
    sizes = {name: int(parameters[name]) for name in ("train", "held_out", "questions")}
    passages = draw_passages(files, form=settings.prompt_form, seed=seed, **sizes)
    names = ("rounds", "edits", "held_out_edits", "joined", "warm_up_passages", "warm_up_taught", "general")
    size = LadderSize(*(int(parameters[name]) for name in names))
    base = load_base_of(settings)
    figures = Ladder(base, settings, passages, size, seed, Path(parameters["work"]), report).climb()
    return {
        "schema": SCHEMA,
        "base": {**base.described(), "name": Path(base.name).name},
        "preset": preset,
        "settings": settings.model_dump(
            mode="json", include={"self_edit", "inner_update", "protection", "policy_training", "exam"}
        ),
        "seed": seed,
        **sizes,
        "edits": size.per_task,
        "joined": size.joined,
        "warmed_up_on": {"self_edits": len(passages.warm_up) + size.warm_up_taught, "passages": size.warm_up_passages},
        "environment": described_environment(base.device),
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - cpu_began,
        **figures,
    }
