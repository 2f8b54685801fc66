"""`info`; also the page that `seal-console` shows without a command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from seal_console.cli.command import SealCommand
from seal_console.cli.invocation import pass_invocation
from seal_console.cli.workspace_session import open_to_show
from seal_console.format import facts, show_text
from seal_console.queries.guardrails import GuardrailFigures
from seal_console.queries.installation import installation, workspace_facts
from store.wording import value_in_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seal_console.cli.invocation import Invocation


_START = """\
seal-console: a console for language models that write their own training data.
On a terminal, in a workspace, this opens the console. Every action is a command too."""
_NO_WORKSPACE = """\
No workspace here. To start:
  seal-console demo         shows the whole loop on the bundled model, in about three minutes
  seal-console init DIR     creates a workspace
  seal-console --help       lists all commands"""


@click.command(
    "info",
    cls=SealCommand,
    short_help="Show paths, versions and state.",
    examples=("seal-console info", "seal-console -w shop info --json"),
)
@pass_invocation
def info(invocation: Invocation) -> None:
    """Show every path, all versions and the state of the workspace; loads no model."""
    _show(invocation)


def show_start(invocation: Invocation) -> None:
    """Show the page of `seal-console` without a command: the workspace, or how to create one."""
    invocation.output.say(_START)
    _show(invocation)


def _show(invocation: Invocation) -> None:
    output = invocation.output
    workspace = invocation.workspace_if_any()
    found: dict[str, Any] = {"installation": installation(), "workspace": None}
    if workspace is not None:
        with open_to_show(invocation) as opened:
            found["workspace"] = workspace_facts(opened.workspace, opened.db)
    if output.as_json:
        output.data(found)
        return
    if found["workspace"] is not None:
        _show_workspace(invocation, found["workspace"])
    output.show(show_text("\nVersions", "bold"), _as_facts(found["installation"]))
    if workspace is None:
        output.show("", _NO_WORKSPACE)


def _show_workspace(invocation: Invocation, about: Mapping[str, Any]) -> None:
    output = invocation.output
    open_round, lock = about["open_round"], about["engine_lock"]
    state = {
        "live version": about["live"],
        "policy": about["policy"],
        "guardrails.yaml": _policy(about["guardrails"]),
        "open round": f"{open_round['number']} ({open_round['state']})" if open_round else "none",
        "engine": f"process {lock['pid']} of {lock['user']}: {lock['command']}, since {lock['since']}"
        if lock
        else "idle",
    }
    output.show(show_text("\nWorkspace", "bold"), _as_facts(state), _as_facts(about["counts"]))
    if about["guards_off"]:
        output.show(show_text("\nGuards that are off", "bold yellow"), _as_facts(about["guards_off"]))
    output.show(
        show_text("\nModel", "bold"), _as_facts(about["model"]), show_text("\nPaths", "bold"), _as_facts(about["paths"])
    )


def _policy(figures: Mapping[str, Any] | None) -> str:
    return (
        "no recent verdicts" if figures is None else f"{GuardrailFigures(**figures)} in round {figures['round_number']}"
    )


def _as_facts(values: Mapping[str, Any]) -> Any:
    return facts([(name.replace("_", " "), value_in_words(value)) for name, value in values.items()])
