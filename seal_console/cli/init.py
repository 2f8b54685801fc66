"""`init`: makes a workspace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.bundled import BUNDLED
from engine.guardrails.kinds import default_guardrails_text
from engine.model.model_folder import check_model_folder, model_folder
from engine.settings.reading import default_settings_text, settings_from_text
from seal_console.cli.command import SealCommand
from seal_console.cli.invocation import pass_invocation
from seal_console.cli.model import check_model, named_on_the_command_line
from store.errors import WrongUseError
from store.workspace import SETTINGS_NAME, create_workspace

if TYPE_CHECKING:
    from seal_console.cli.invocation import Invocation

_DEFAULT_LINE = f"  path: {BUNDLED}\n"


@click.command(
    "init",
    cls=SealCommand,
    short_help="Create a workspace.",
    examples=("seal-console init shop", "seal-console init shop --model ~/models/Qwen2.5-0.5B"),
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--model", metavar="PATH", help="Folder of a local Hugging Face causal LM (default: the bundled model).")
@pass_invocation
def init(invocation: Invocation, folder: Path, model: str | None) -> None:
    """Make a workspace in DIR: commented settings and rules, folders, database and the git repository of adapters."""
    if invocation.workspace_folder is not None:
        raise WrongUseError(
            f"init makes a workspace in DIR ({folder}), so -w ({invocation.workspace_folder}) contradicts it.",
            next_step=f"seal-console init {folder}",
        )
    with named_on_the_command_line():
        text = settings_text(model)
        settings_from_text(text, folder / SETTINGS_NAME)
        if model is not None and model != BUNDLED:
            check_model(invocation, {"model": str(model_folder(model).resolve())})
    workspace = create_workspace(folder, text, default_guardrails_text())
    invocation.has_acted = True
    output = invocation.output
    if output.as_json:
        files = {"settings": str(workspace.settings_file), "guardrails": str(workspace.guardrails_file)}
        output.data({"workspace": str(workspace.root), **files})
        return
    output.show(
        f"Created workspace {workspace.root}.",
        "",
        "What to do next:",
        f"  cd {folder}",
        f"  put documents into {workspace.tasks_folder.name}/ (returns.md with returns.questions.yaml next to it)",
        "  seal-console tasks add",
        "  seal-console run --rounds 1",
        "  seal-console review list",
    )


def settings_text(model: str | None) -> str:
    """Return the default settings with another model's folder. Raises WrongUseError if it is not a model folder."""
    text = default_settings_text()
    if model is None or model == BUNDLED:
        return text
    folder = check_model_folder(model).resolve()
    return text.replace(_DEFAULT_LINE, f"  path: {json.dumps(str(folder), ensure_ascii=False)}\n", 1)
