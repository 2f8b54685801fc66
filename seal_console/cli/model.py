"""`model`: the bundled model's card, how it is built, and what it can do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.model.context_window import BUNDLED, model_folder
from seal_console.cli.command import SealGroup
from seal_console.cli.engine_call import call_engine
from seal_console.cli.invocation import pass_invocation
from seal_console.cli.render_measure import show_measures
from store.errors import SealError, WrongUseError

if TYPE_CHECKING:
    from seal_console.cli.invocation import Invocation


@click.group(
    "model", cls=SealGroup, short_help="The bundled model: card, build, measure.", examples=("seal-console model card",)
)
def model() -> None:
    """The small model that ships with the engine."""


@model.command("card", examples=("seal-console model card",))
@pass_invocation
def card(invocation: Invocation) -> None:
    """Show what the bundled model is, how it was made, and what it cannot do."""
    path = model_folder(BUNDLED) / "README.md"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SealError(
            f"{path} cannot be read: {error.strerror or error}.",
            next_step=f"seal-console model build {path.parent} makes the model anew.",
        ) from error
    if invocation.output.as_json:
        invocation.output.data({"path": str(path), "card": text})
    else:
        invocation.output.show(text)


@model.command("build", examples=("seal-console model build my-model --seed 7",))
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Everything random follows from it."
)
@click.option(
    "--steps", type=click.IntRange(min=1), help="Training steps; without it, as many as the bundled model had."
)
@pass_invocation
def build(invocation: Invocation, folder: Path, seed: int, steps: int | None) -> None:
    """Make corpus, tokenizer and weights of the bundled model from a seed, in DIR. Takes long on a CPU."""
    if folder.is_file() or (folder.is_dir() and any(path.suffix == ".safetensors" for path in folder.iterdir())):
        raise WrongUseError(f"{folder} holds a model already, or is a file.", next_step="Name another folder.")
    parameters = {"folder": str(folder.resolve()), "seed": seed, "steps": steps}
    result = call_engine(invocation, "model.build", parameters, next_step=f"seal-console model build {folder}")
    if invocation.output.as_json:
        invocation.output.data(result)
        return
    show_measures(invocation.output, result)
    invocation.output.show(f"Next: seal-console model measure --model {folder}")


@model.command("measure", examples=("seal-console model measure", "seal-console model measure --model my-model"))
@click.option("--model", "path", default=BUNDLED, show_default=True, metavar="PATH", help="Folder of the model.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the things asked about.")
@pass_invocation
def measure(invocation: Invocation, path: str, seed: int) -> None:
    """Measure the abilities that the card states."""
    chosen = path if path == BUNDLED else str(Path(path).resolve())
    result = call_engine(
        invocation, "model.measure", {"model": chosen, "seed": seed}, next_step="seal-console model measure"
    )
    if invocation.output.as_json:
        invocation.output.data(result)
    else:
        show_measures(invocation.output, result)
