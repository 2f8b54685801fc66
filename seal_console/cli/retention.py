"""`retention`: what updates must not harm: check and import suites, examine a version."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.gates.names import DRIFT_GATE, SUITE_GATE
from engine.graders.registry import DEFAULT_GRADER
from engine.retention.matrix import Matrix, figures, recorded_matrix
from engine.retention.reading import read_retention
from engine.settings.reading import load_settings
from seal_console.cli.command import SealGroup
from seal_console.cli.engine_call import call_engine
from seal_console.cli.invocation import pass_invocation
from seal_console.cli.suites import GUARDED, add_suites, list_suites
from seal_console.cli.workspace_session import open_to_show
from seal_console.format import gain, gate_verdict, pass_mark, percent, show_line, table
from seal_console.render_gate import NOT_TESTED, render_gate
from store.errors import AllRefusedError, ExitCode, NothingToDoError, WrongUseError
from store.untested import is_untested
from store.version_rows import live_version
from store.version_tags import parse_number
from store.wording import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from seal_console.cli.invocation import Invocation, Output


_REASONS_SHOWN = 3


@click.group(
    "retention",
    cls=SealGroup,
    short_help="Check suites and evaluate versions.",
    examples=("seal-console retention check", "seal-console retention run"),
)
def retention() -> None:
    """Suites of known answers, the exam of earlier edits, and drift: what an update must pass before it may go live.

    Suites are files in the workspace's retention/ folder; docs/retention.md describes them.
    """


retention.add_command(add_suites)
retention.add_command(list_suites)


@retention.command(
    "check",
    short_help="Check the suites in retention/ without loading a model.",
    examples=("seal-console retention check", "seal-console retention check --json"),
    exits=(ExitCode.NOTHING_TO_DO,),
)
@pass_invocation
def check(invocation: Invocation) -> None:
    """Read the suites as a round does, and report every problem with file and line. No model is loaded."""
    workspace = invocation.workspace()
    load_settings(workspace.settings_file)
    found = read_retention(workspace)
    if not found.suites:
        raise NothingToDoError(
            f"No suites in {workspace.retention_folder}.",
            next_step="Write one (see docs/retention.md), then check again.",
        )
    output = invocation.output
    if output.as_json:
        for suite in found.suites:
            output.data(
                {
                    "suite": suite.name,
                    "place": suite.place,
                    "prompts": len(suite.prompts),
                    "groups": dict(Counter(prompt.group for prompt in suite.prompts)),
                    "anchors": len(suite.anchors),
                    "anchor_prompts": len(suite.anchor_prompts),
                    "allowed_losses": suite.allowed_losses,
                }
            )
        return
    rows = [
        (
            show_line(suite.name),
            str(len(suite.prompts)),
            str(len(suite.anchors) + len(suite.anchor_prompts)),
            "as set" if suite.allowed_losses is None else f"{suite.allowed_losses}",
            suite.place,
        )
        for suite in found.suites
    ]
    output.show(table(("suite", "prompts", "anchors", "may lose", "file"), rows, right=("prompts", "anchors")))
    output.show("Valid. Next: seal-console retention run")


@retention.command(
    "import-lm-eval",
    short_help="Import a task of lm-evaluation-harness as a suite.",
    examples=(
        "seal-console retention import-lm-eval arc_easy --limit 200",
        "seal-console retention import-lm-eval facts --path benchmarks/facts.yaml --out retention/facts.jsonl",
    ),
)
@click.argument("task", metavar="TASK")
@click.option(
    "--path",
    type=click.Path(exists=True, path_type=Path),
    metavar="FILE_OR_DIR",
    help="Task file, or folder of task files, instead of the harness's own tasks.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Import at most N prompts of each task.")
@click.option(
    "--num-fewshot",
    type=click.IntRange(min=0),
    metavar="N",
    help="Examples in each prompt; the task's own number by default.",
)
@click.option("--grader", default=DEFAULT_GRADER, metavar="NAME", show_default=True, help="Grader of written answers.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Suite file to write; retention/TASK.jsonl by default.",
)
@pass_invocation
def import_lm_eval(
    invocation: Invocation,
    *,
    task: str,
    path: Path | None,
    limit: int | None,
    num_fewshot: int | None,
    grader: str,
    out: Path | None,
) -> None:
    """Write the prompts of a task of lm-evaluation-harness into a suite file, once.

    The harness builds the prompts; it may download data and run code that comes with the task. The file is yours to
    edit.
    """
    workspace = invocation.workspace()
    if find_spec("lm_eval") is None:
        raise WrongUseError("lm-evaluation-harness is not installed.", next_step="pip install 'seal-console[lm-eval]'")
    out = out or workspace.retention_folder / f"{task.replace('/', '-')}.jsonl"
    if out.suffix != ".jsonl":
        raise WrongUseError(f"{out}: a suite file that is imported ends in .jsonl.")
    if out.exists():
        raise WrongUseError(f"{out} already exists.", next_step="Remove it, or name another file with --out.")
    parameters = {
        "task": task,
        "path": None if path is None else str(path.resolve()),
        "limit": limit,
        "num_fewshot": num_fewshot,
        "grader": grader,
        "out": str(out.resolve()),
    }
    result = call_engine(invocation, "retention.import_lm_eval", parameters, next_step="Import the task again.")
    output = invocation.output
    if output.as_json:
        output.data({"file": str(out), **result})
        return
    output.show(f"Wrote {counted(result['prompts'], 'prompt')} of {show_line(task)} to {out}.")
    for note in result["notes"]:
        output.show(show_line(f"Note: {note}."))
    if result["left_out"]:
        output.show(f"Left out {counted(len(result['left_out']), 'document')}, for example:")
        output.show(*[show_line(f"  {reason}") for reason in result["left_out"][:_REASONS_SHOWN]])
    output.show("Next: seal-console retention check")


@retention.command(
    "run",
    short_help="Evaluate a version on suites, earlier edits and anchors.",
    examples=("seal-console retention run", "seal-console retention run --version v0003 --json"),
    exits=(ExitCode.NOTHING_TO_DO, ExitCode.ALL_REFUSED, ExitCode.LOCKED),
    refused="a gate would stop the version",
)
@click.option("--version", "written", metavar="TAG", help="Version to ask (v0000: the base; default: the live one).")
@pass_invocation
def run(invocation: Invocation, written: str | None) -> None:
    """Evaluate a version on all suites, earlier edits and anchors, against the base and its parent."""
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
            next_step="The lost answers are listed above; the limits are in the section retention of seal.yaml.",
        )


@retention.command(
    "matrix",
    short_help="Show which accepted edits each version still knows.",
    examples=("seal-console retention matrix", "seal-console retention matrix --ask --json"),
    exits=(ExitCode.NOTHING_TO_DO, ExitCode.LOCKED),
)
@click.option("--ask", is_flag=True, help="First answer the questions that have no recorded answer; loads the model.")
@pass_invocation
def matrix(invocation: Invocation, ask: bool) -> None:
    """Show how much of every accepted edit each version of the live lineage still knows.

    Rows are versions, columns are edits in order, cells the share of the edit's questions answered correctly; – means
    not all have an answer. Without --ask only recorded answers are shown.
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
        output.show("Some questions have no answer yet; fill them in with: seal-console retention matrix --ask")


def _show(output: Output, result: Mapping[str, Any]) -> None:
    by_gate = {gate["gate"]: gate["evidence"] for gate in result["against_base"]}
    has_parent = result["parent"] != "base"
    lost = [f"lost against {result['parent']}"] if has_parent else []
    headers = ("suite", "right", "lost against base", *lost, "noise floor", "verdict")
    rows = [_row(gate, by_gate, has_parent) for gate in result["against_parent"] if gate["gate"] != DRIFT_GATE]
    if rows:
        output.show(table(headers, rows, right=headers[1:-1]), GUARDED)
    _show_details(output, f"Against {result['parent']}", result["against_parent"])
    if has_parent:
        _show_details(output, "Against base", result["against_base"])


def _row(gate: Mapping[str, Any], of_base: Mapping[str, Mapping[str, Any]], has_parent: bool) -> tuple[Any, ...]:
    evidence = gate["evidence"]
    floor = evidence.get("noise_floor")
    return (
        show_line(gate["gate"].removeprefix(SUITE_GATE)),
        f"{evidence['right_after']} of {evidence['prompts']}",
        _lost(of_base[gate["gate"]]) if gate["gate"] in of_base else "–",
        *([_lost(evidence)] if has_parent else []),
        "–" if floor is None else str(floor),
        gate_verdict(NOT_TESTED) if gate["passed"] and is_untested(evidence) else pass_mark(gate["passed"]),
    )


def _lost(evidence: Mapping[str, Any]) -> str:
    return f"{len(evidence['lost'])} of {evidence['right_before']}"


def _show_details(output: Output, title: str, gates: Sequence[Mapping[str, Any]]) -> None:
    """Show the details of gates that have some: lost answers, and drift."""
    telling = [gate for gate in gates if gate["gate"] == DRIFT_GATE or gate["evidence"]["lost"]]
    if not telling:
        return
    output.show("", f"{title}:")
    for gate in telling:
        first, *more = render_gate(gate["gate"], gate["evidence"])
        output.show(show_line(f"  {gate['gate'].removeprefix(SUITE_GATE)}: {first}"))
        for line in more:
            output.show(show_line(f"      {line}"))
