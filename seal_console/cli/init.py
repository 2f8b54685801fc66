"""`init`: makes a workspace."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.bundled import BUNDLED
from engine.guardrails.kinds import default_guardrails_text
from engine.retention.general_suites import general_suites
from engine.settings.presets import PRESET_NAMES, Preset, preset_for, preset_named
from engine.settings.reading import default_settings_text, settings_from_text
from seal_console.cli.command import SealCommand
from seal_console.cli.invocation import pass_invocation
from seal_console.cli.model import check_model, named_on_the_command_line
from seal_console.cli.named_model import named_model
from store.errors import WrongUseError
from store.workspace import SETTINGS_NAME, Workspace, create_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seal_console.cli.invocation import Invocation

_DEFAULT_LINE = f"  path: {BUNDLED}\n"


@click.command(
    "init",
    cls=SealCommand,
    short_help="Create a workspace.",
    examples=(
        "seal-console init shop",
        "seal-console init shop --model ~/models/Qwen2.5-0.5B",
        "seal-console model fetch smollm2 && seal-console init shop --model smollm2",
    ),
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--model",
    metavar="PATH",
    help="Folder of a local Hugging Face causal LM, a .gguf file, or smollm2 (default: the bundled model).",
)
@click.option(
    "--preset",
    "preset_name",
    type=click.Choice(PRESET_NAMES),
    help="Settings for a size and kind of model (default: chosen by the model's size).",
)
@pass_invocation
def init(invocation: Invocation, folder: Path, model: str | None, preset_name: str | None) -> None:
    """Make a workspace in DIR: commented settings and rules, folders, database and the git repository of adapters."""
    if invocation.workspace_folder is not None:
        raise WrongUseError(
            f"init makes a workspace in DIR ({folder}), so -w ({invocation.workspace_folder}) contradicts it.",
            next_step=f"seal-console init {folder}",
        )
    with named_on_the_command_line():
        chosen = None if model is None or model == BUNDLED else named_model(model)
        settings_from_text(settings_text(chosen, preset_named("bundled")), folder / SETTINGS_NAME)
        size = 0 if chosen is None else _checked_size(invocation, chosen, folder)
    preset = preset_for(size) if preset_name is None else preset_named(preset_name)
    text = settings_text(chosen, preset)
    suites = {} if chosen is None else general_suites()
    workspace = create_workspace(folder, text, default_guardrails_text(), suites)
    invocation.has_acted = True
    output = invocation.output
    if output.as_json:
        files = {"settings": str(workspace.settings_file), "guardrails": str(workspace.guardrails_file)}
        output.data({"workspace": str(workspace.root), **files, "preset": preset.name})
        return
    output.show(
        f"Created workspace {workspace.root}.",
        *([f"Preset {preset.name}, {preset.about}; {preset.source}."] if preset.values else []),
        *(
            ["In retention/: suites of general ability that no update may harm, and questions that updates rehearse."]
            if suites
            else []
        ),
        "",
        "What to do next:",
        f"  cd {folder}",
        f"  put documents into {workspace.tasks_folder.name}/ (returns.md with returns.questions.yaml next to it)",
        *(["  seal-console retention run     # once: what the base answers right is guarded"] if suites else []),
        "  seal-console tasks add",
        "  seal-console run --rounds 1",
        "  seal-console review list",
    )


def _checked_size(invocation: Invocation, model: Path, folder: Path) -> int:
    """Let the engine check a model for a workspace in a folder; returns how many parameters it has."""
    parameters = {"model": str(model)}
    if model.is_file():
        parameters["cache"] = str(Workspace(folder.resolve()).cache_folder)  # for the folder that is made of it
    with _leaving_nothing(folder):
        return int(check_model(invocation, parameters)["parameters"])


def settings_text(model: Path | None, preset: Preset) -> str:
    """Return a preset's settings with another model, by its absolute path."""
    text = default_settings_text(preset)
    if model is None:
        return text
    return text.replace(_DEFAULT_LINE, f"  path: {json.dumps(str(model), ensure_ascii=False)}\n", 1)


@contextmanager
def _leaving_nothing(folder: Path) -> Iterator[None]:
    """Remove what the block put into a folder's cache for a workspace that is not made after all."""
    cache = Workspace(folder.resolve()).cache_folder
    new = [path for path in (cache, cache.parent) if not path.exists()]
    try:
        yield
    except BaseException:
        if cache in new:
            shutil.rmtree(cache, ignore_errors=True)
        if cache.parent in new:
            with suppress(OSError):
                cache.parent.rmdir()
        raise
