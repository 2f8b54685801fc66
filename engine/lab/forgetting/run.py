"""Runs the experiment on forgetting from the parameters of `lab experiment forgetting`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.bundled import BUNDLED
from engine.lab.bench.subject import described_environment
from engine.lab.forgetting.experiment import experiment
from engine.lab.forgetting.lineages import BundledWorld
from engine.lab.forgetting.methods import methods_named
from engine.lab.forgetting.passages import passage_world
from engine.lab.model_settings import experiment_settings
from engine.loop.base_loading import load_base_of
from store.errors import WrongUseError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.runtime.progress import Report


def run_forgetting(parameters: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Run every method; returns their figures with everything that they depend on.

    The bundled model is edited in its own made-up world, any other model with `passages`. Raises WrongUseError if one
    is named without the other.
    """
    model, passages = parameters.get("model", BUNDLED), parameters.get("passages")
    if (model == BUNDLED) != (passages is None):
        raise WrongUseError(
            "A model other than the bundled one is edited with passages of a file, the bundled one with its own world.",
            next_step="name both --model and --passages, or neither",
        )
    settings, preset = experiment_settings({**parameters, "model": model})
    base = load_base_of(settings)
    world = BundledWorld() if passages is None else passage_world(settings, Path(passages))
    sizes = {name: int(parameters[name]) for name in ("lineages", "edits", "seed")}
    result = experiment(base, world, methods_named(parameters["methods"]), **sizes, report=report)
    about = {"name": Path(base.name).name, **base.described()}
    return {**result, "base": about, "preset": preset, "environment": described_environment(base.device)}
