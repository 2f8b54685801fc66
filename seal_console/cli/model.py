"""`model`: check a model's folder, and show the card of the bundled one."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from engine.bundled import BUNDLED
from engine.model.model_folder import model_folder
from engine.settings.reading import load_settings
from seal_console.cli.command import SealGroup
from seal_console.cli.engine_call import call_engine
from seal_console.cli.invocation import pass_invocation
from seal_console.format import facts
from store.errors import SealError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from seal_console.cli.invocation import Invocation


@click.group(
    "model",
    cls=SealGroup,
    short_help="Check a model; show the bundled one's card.",
    examples=("seal-console model check ~/models/Qwen2.5-0.5B", "seal-console model card"),
    moved={"build": "lab model build", "measure": "lab model measure"},
)
def model() -> None:
    """Check whether a model can be a base, or read about the small one that ships with the engine."""


@model.command(
    "check",
    short_help="Check whether a model can be a base.",
    examples=("seal-console model check", "seal-console model check ~/models/Qwen2.5-0.5B --json"),
)
@click.argument("folder", metavar="[DIR]", required=False)
@pass_invocation
def check(invocation: Invocation, folder: str | None) -> None:
    """Load a model as a round does, and check that the engine computes with it what transformers and PEFT compute.

    Without DIR it checks the model of the workspace, with its device and precision. Nothing is recorded.
    """
    if folder is None:
        settings = load_settings(invocation.workspace().settings_file)
        checked = check_model(invocation, {"settings": settings.model_dump(mode="json")})
    else:
        with named_on_the_command_line():
            checked = check_model(invocation, {"model": folder})
    if invocation.output.as_json:
        invocation.output.data(checked)
        return
    about = {**checked, "parameters": f"{checked['parameters']:,}", "window": f"{checked['window']:,} tokens"}
    invocation.output.show(facts([(name.replace("_", " "), str(value)) for name, value in about.items()]))


@contextmanager
def named_on_the_command_line() -> Iterator[None]:
    """Let errors about a model speak of the folder that was given rather than of the settings."""
    try:
        yield
    except SealError as error:
        error.message = error.message.removeprefix("model.path: ")
        error.next_step = error.next_step.replace("set model.path in seal.yaml to", "name").replace(
            "set model.path to", "name"
        )
        raise


def check_model(invocation: Invocation, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Let the engine load and measure a model. Raises WrongUseError with the reason if it cannot be a base."""
    return call_engine(invocation, "model.check", parameters, next_step="Nothing was changed.")


@model.command("card", short_help="Show the bundled model's card.", examples=("seal-console model card",))
@pass_invocation
def card(invocation: Invocation) -> None:
    """Show what the bundled model is, how it was made and what it cannot do."""
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
