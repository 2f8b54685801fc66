"""Rebuilds the bundled model from a seed: tokenizer, corpus, weights."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from engine.lab.bundled_model.train import PretrainingRecipe, train
from store.errors import WrongUseError
from store.hashing import hash_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def build_model(folder: Path, *, seed: int, steps: int | None, narrate: Callable[[str], None]) -> dict[str, Any]:
    """Train the model into an empty folder; `steps` changes the length of the run. Returns its recipe and hash."""
    if folder.exists() and any(folder.iterdir()):
        raise WrongUseError(f"{folder} is not empty", next_step="name a new folder")
    recipe = PretrainingRecipe(seed=seed)
    if steps is not None:
        recipe = recipe.shortened(steps)
    folder.mkdir(parents=True, exist_ok=True)
    train(recipe, folder, narrate)
    return {
        "folder": str(folder),
        "recipe": dataclasses.asdict(recipe),
        "weights": hash_file(folder / "model.safetensors"),
    }
