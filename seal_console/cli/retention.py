"""`retention`: what updates must not harm: check the suites, examine a version."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from engine.gates.names import DRIFT_GATE, SUITE_GATE
from engine.retention.matrix import Matrix, figures, recorded_matrix
from engine.retention.reading import read_retention
from engine.settings.reading import load_settings
from seal_console.cli.command import SealGroup
from seal_console.cli.engine_call import call_engine
from seal_console.cli.invocation import pass_invocation
from seal_console.cli.workspace_session import open_to_show
from seal_console.format import gain, pass_mark, percent, show_line, table
from seal_console.render_gate import render_gate
from store.errors import AllRefusedError, ExitCode, NothingToDoError
from store.version_rows import live_version
from store.version_tags import parse_number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.retention.suites import Suite
    from seal_console.cli.invocation import Invocation, Output


@click.group(
    "retention",
    cls=SealGroup,
    short_help="Check suites and evaluate versions.",
    examples=("seal-console retention check", "seal-console retention run"),
)
def retention() -> None:
    """Suites of known answers, evaluation of earlier edits, and drift: the limits that each update must keep before it
    goes live.

    The suites are files in the workspace's retention/ folder; docs/retention.md describes their format.
    """


@retention.command(
    "check",
    examples=("seal-console retention check", "seal-console retention check --json"),
    exits=(ExitCode.NOTHING_TO_DO,),
)
@pass_invocation
def check(invocation: Invocation) -> None:
    """Read the suites as a round does, and name every problem with file and line; no model is loaded."""
    workspace = invocation.workspace()
    load_settings(workspace.settings_file)
    found = read_retention(workspace)
    if not found.suites:
        raise NothingToDoError(
            f"{workspace.retention_folder} holds no suite.",
            next_step="Write one (docs/retention.md says how), then check again.",
        )
    output = invocation.output
    if output.as_json:
        for suite in found.suites:
            output.data(_suite_as_json(suite))
        return
    rows = [
        (
            show_line(suite.name),
            _prompts_shown(suite),
            str(len(suite.anchors)),
            "as set" if suite.allowed_losses is None else f"{suite.allowed_losses}",
            suite.place,
        )
        for suite in found.suites
    ]
    output.show(table(("suite", "prompts", "anchors", "may lose", "file"), rows, right=("prompts", "anchors")))
    if any(suite.to_build for suite in found.suites):
        output.say("Prompts of lm_eval are built when the engine reads its documents: seal-console retention run.")
    output.show("Valid. Next: seal-console retention run")


@retention.command(
    "run",
    examples=("seal-console retention run", "seal-console retention run --version v0003 --json"),
    exits=(ExitCode.NOTHING_TO_DO, ExitCode.ALL_REFUSED, ExitCode.LOCKED),
)
@click.option("--version", "written", metavar="TAG", help="Version to ask (v0000: the base; default: the live one).")
@pass_invocation
def run(invocation: Invocation, written: str | None) -> None:
    """Evaluate a version on all suites, earlier edits and anchors, against the base and its parent.

    Exit code 4 if a gate would stop it on top of its parent.
    """
    workspace = invocation.workspace()
    load_settings(workspace.settings_file)
    read_retention(workspace)
    version = None if written is None else parse_number(written)
    parameters = {"workspace": str(workspace.root), "version": version}
    result = call_engine(
        invocation, "retention.run", parameters, next_step="seal-console retention run continues from there."
    )
    if invocation.output.as_json:
        invocation.output.data(result)
    else:
        _show(invocation.output, result)
    if result.get("stopped"):
        raise AllRefusedError(
            f"The gates would stop {result['version']} on top of {result['parent']}.",
            next_step="What it lost is listed above; the settings are in the section retention of seal.yaml.",
        )


@retention.command(
    "matrix",
    examples=("seal-console retention matrix", "seal-console retention matrix --ask --json"),
    exits=(ExitCode.NOTHING_TO_DO, ExitCode.LOCKED),
)
@click.option("--ask", is_flag=True, help="Measure missing answers first; loads the model.")
@pass_invocation
def matrix(invocation: Invocation, ask: bool) -> None:
    """Show how much of every accepted edit each version of the live lineage still knows.

    Rows are versions, columns the edits in order, cells the share of the edit's questions answered right; – was not
    asked. Without --ask only what is recorded is shown.
    """
    workspace = invocation.workspace()
    if ask:
        load_settings(workspace.settings_file)
        call_engine(
            invocation,
            "retention.matrix",
            {"workspace": str(workspace.root)},
            next_step="seal-console retention matrix --ask continues from there.",
        )
    with open_to_show(invocation) as found:
        measured = recorded_matrix(found.db, live_version(found.db))
    if not measured.columns:
        raise NothingToDoError("No edit is live, so none can be forgotten.", next_step="seal-console review list")
    if invocation.output.as_json:
        invocation.output.data({**asdict(measured), **figures(measured)})
    else:
        _show_matrix(invocation.output, measured)


def _show_matrix(output: Output, measured: Matrix) -> None:
    tags = [column.version for column in measured.columns]
    rows = [(tag, *map(percent, of_row)) for tag, of_row in zip(measured.rows, measured.cells, strict=True)]
    output.show(table(("", *tags), rows, right=tags))
    found = figures(measured)
    headers = ("edit", "task", "questions", "before", "learnt", "now")
    edits = [
        (
            edit["version"],
            show_line(edit["task"], limit=60),
            str(edit["questions"]),
            percent(edit["before"]),
            percent(edit["learnt"]),
            percent(edit["now"]),
        )
        for edit in found["edits"]
    ]
    output.show("", table(headers, edits, right=headers[2:]))
    output.show(
        f"Mean gain {gain(found['mean_gained'])}, known now {percent(found['mean_now'])}, "
        f"backward transfer {gain(found['backward_transfer'])} (below 0 is forgetting)."
    )
    if any(share is None for of_row in measured.cells for share in of_row):
        output.show("Not everything was asked; seal-console retention matrix --ask fills it in.")


def _show(output: Output, result: Mapping[str, Any]) -> None:
    by_gate = {gate["gate"]: gate["evidence"] for gate in result["against_base"]}
    has_parent = result["parent"] != "base"
    lost = [f"lost against {result['parent']}"] if has_parent else []
    headers = ("suite", "prompts", "right", "lost against base", *lost, "verdict")
    rows = [_row(gate, by_gate, has_parent) for gate in result["against_parent"] if gate["gate"] != DRIFT_GATE]
    if rows:
        output.show(table(headers, rows, right=headers[1:-1]))
    _show_details(output, f"Against {result['parent']}", result["against_parent"])
    if has_parent:
        _show_details(output, "Against base", result["against_base"])


def _row(gate: Mapping[str, Any], of_base: Mapping[str, Mapping[str, Any]], has_parent: bool) -> tuple[Any, ...]:
    evidence = gate["evidence"]
    lost_against_base = str(len(of_base[gate["gate"]]["lost"])) if gate["gate"] in of_base else "–"
    return (
        show_line(gate["gate"].removeprefix(SUITE_GATE)),
        str(evidence["prompts"]),
        str(evidence["right_after"]),
        lost_against_base,
        *([str(len(evidence["lost"]))] if has_parent else []),
        pass_mark(gate["passed"]),
    )


def _show_details(output: Output, title: str, gates: Sequence[Mapping[str, Any]]) -> None:
    """Show the words of the gates that have something to tell: what was lost, and drift."""
    telling = [gate for gate in gates if gate["gate"] == DRIFT_GATE or gate["evidence"]["lost"]]
    if not telling:
        return
    output.show("", f"{title}:")
    for gate in telling:
        first, *more = render_gate(gate["gate"], gate["evidence"])
        output.show(show_line(f"  {gate['gate'].removeprefix(SUITE_GATE)}: {first}"))
        for line in more:
            output.show(show_line(f"      {line}"))


def _prompts_shown(suite: Suite) -> str:
    """Say how many prompts a suite has; those of the harness are counted when the engine builds them."""
    if suite.to_build is None:
        return str(len(suite.prompts))
    return "of lm_eval" if suite.to_build.limit is None else f"≤ {suite.to_build.limit}"


def _suite_as_json(suite: Suite) -> dict[str, Any]:
    harness = suite.to_build
    return {
        "suite": suite.name,
        "place": suite.place,
        "prompts": len(suite.prompts) if harness is None else None,
        "lm_eval": None if harness is None else {"task": harness.task.file, "limit": harness.limit},
        "groups": dict(Counter(prompt.group for prompt in suite.prompts)),
        "anchors": len(suite.anchors),
        "allowed_losses": suite.allowed_losses,
    }
