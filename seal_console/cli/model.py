"""`model`: the bundled model's card."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from engine.model.context_window import BUNDLED, model_folder
from seal_console.cli.command import SealGroup
from seal_console.cli.invocation import pass_invocation
from store.errors import SealError

if TYPE_CHECKING:
    from seal_console.cli.invocation import Invocation


@click.group(
    "model",
    cls=SealGroup,
    short_help="The bundled model.",
    examples=("seal-console model card",),
    moved={"build": "lab model build", "measure": "lab model measure"},
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
            next_step=f"seal-console lab model build {path.parent} builds it again.",
        ) from error
    if invocation.output.as_json:
        invocation.output.data({"path": str(path), "card": text})
    else:
        invocation.output.show(text)
