"""`retention add-suites` and `retention list`: what asks for general ability, and what each suite guards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from engine.retention.general_suites import general_suites
from engine.retention.reading import read_retention
from engine.retention.suites import losses_allowed
from engine.settings.reading import load_settings
from seal_console.cli.command import SealCommand
from seal_console.cli.invocation import pass_invocation
from seal_console.cli.workspace_session import open_to_show
from seal_console.format import show_line, table
from store.durable import write_file
from store.errors import ExitCode, NothingToDoError
from store.retention import newest_noise
from store.workspace import require_writable

if TYPE_CHECKING:
    from engine.retention.suites import Suite
    from engine.settings.sections import RetentionSettings
    from seal_console.cli.invocation import Invocation
    from store.records import SuiteNoise

GUARDED = (
    "Answers that were right before are guarded; only these can be lost. What is within the noise floor may be chance."
)


@click.command(
    "add-suites",
    cls=SealCommand,
    short_help="Add suites of general ability to retention/.",
    examples=("seal-console retention add-suites",),
    exits=(ExitCode.NOTHING_TO_DO,),
)
@pass_invocation
def add_suites(invocation: Invocation) -> None:
    """Add the suites that a new workspace on an instruct model begins with; files that are there stay as they are.

    They ask for knowledge, arithmetic, common sense, form, instructions, and for refusing what harms but nothing else.
    """
    workspace = invocation.workspace()
    require_writable(workspace)
    folder = workspace.retention_folder
    missing = {name: text for name, text in general_suites().items() if not (folder / name).exists()}
    if not missing:
        raise NothingToDoError(f"{folder} has all of them already.", next_step="seal-console retention run")
    for name, text in missing.items():
        write_file(folder / name, text.encode("utf-8"))
    invocation.has_acted = True
    if invocation.output.as_json:
        invocation.output.data({"added": list(missing)})
        return
    invocation.output.show(
        f"Added to {folder}: {', '.join(missing)}.", "Next: seal-console retention run asks the live version."
    )


@click.command(
    "list",
    cls=SealCommand,
    short_help="Show what each suite guards, and its noise floor.",
    examples=("seal-console retention list", "seal-console retention list --json"),
    exits=(ExitCode.NOTHING_TO_DO,),
)
@pass_invocation
def list_suites(invocation: Invocation) -> None:
    """Show how much of each suite the base answers right, the suite's noise floor, and what an update may lose.

    Only answers that are right can be lost. The noise floor is how many right answers the base loses by nothing but
    other batches. Both are shown as `retention run` measured them last; no model is loaded.
    """
    workspace = invocation.workspace()
    settings = load_settings(workspace.settings_file).retention
    suites = [suite for suite in read_retention(workspace).suites if suite.prompts]
    if not suites:
        raise NothingToDoError(
            f"No suites in {workspace.retention_folder}.", next_step="seal-console retention add-suites"
        )
    with open_to_show(invocation) as found:
        noise = newest_noise(found.db)
    listed = [_listed(suite, noise.get(suite.prompts_hash), settings) for suite in suites]
    output = invocation.output
    if output.as_json:
        for one in listed:
            output.data(one)
        return
    headers = ("suite", "answered right by the base", "noise floor", "may lose")
    rows = [
        (
            show_line(str(one["suite"])),
            f"{'–' if one['right'] is None else one['right']} of {one['prompts']}",
            "–" if one["noise_floor"] is None else str(one["noise_floor"]),
            str(one["may_lose"]),
        )
        for one in listed
    ]
    output.show(table(headers, rows, right=headers[1:]))
    output.show("What the base answers right is guarded; only these answers can be lost.")
    if any(one["noise_floor"] is None for one in listed):
        output.show("Some are not measured yet (–): seal-console retention run")


def _listed(suite: Suite, noise: SuiteNoise | None, settings: RetentionSettings) -> dict[str, object]:
    limit = settings.allowed_losses if suite.allowed_losses is None else suite.allowed_losses
    return {
        "suite": suite.name,
        "place": suite.place,
        "prompts": len(suite.prompts),
        "right": None if noise is None else noise.right_answers,
        "noise_floor": None if noise is None else noise.lost,
        "may_lose": losses_allowed(limit, len(suite.prompts)),
    }
