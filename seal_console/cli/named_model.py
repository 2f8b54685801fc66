"""What a command's --model names: a folder, a GGUF file, or a model that was fetched."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from engine.bundled import BUNDLED
from engine.input_files.gguf_file import check_gguf_file, named_gguf
from engine.model.model_folder import check_model_folder
from engine.model.smollm2 import SMOLLM2, fetched_folder
from store.errors import WrongUseError

if TYPE_CHECKING:
    import click


def named_model(model: str) -> Path:
    """Return the model's folder or GGUF file that the option names. Raises WrongUseError if it cannot be one."""
    path = Path(model).expanduser()
    if model == SMOLLM2 and not path.exists():
        path = fetched_folder(os.environ)
        if not path.is_dir():
            raise WrongUseError(
                f"{SMOLLM2} has not been fetched: {path} does not exist.",
                next_step=f"seal-console model fetch {SMOLLM2}",
            )
    gguf = named_gguf(path)
    if gguf is not None:
        check_gguf_file(gguf)
        return gguf.resolve()
    return check_model_folder(model if path == Path(model).expanduser() else str(path)).resolve()


def model_for_lab(_: click.Context, __: click.Parameter, model: str) -> str:
    """Return what the engine is to load: the bundled model by its name, any other by its folder."""
    return model if model == BUNDLED else str(named_model(model))
