"""`lab experiment`: questions about the engine that are answered by measuring, on the bundled model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.bundled import BUNDLED
from seal_console.cli.command import SealGroup, several_of
from seal_console.cli.engine_call import call_engine
from seal_console.cli.invocation import pass_invocation
from seal_console.cli.named_model import model_for_lab
from seal_console.format import gain, percent, show_text, table
from store.durable import write_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from seal_console.cli.invocation import Invocation, Output


METHODS = (
    *("naive", "replay", "anchors", "curvature", "perturbed-anchors", "ours"),
    *("only-curvature", "without-curvature", "without-perturbed-anchors", "answers-only"),
)
_SHOWN_EDITS = 12


@click.group(
    "experiment",
    cls=SealGroup,
    short_help="Measure methods on the bundled model.",
    examples=("seal-console lab experiment forgetting --lineages 2 --edits 4", "seal-console lab experiment collapse"),
)
def experiment() -> None:
    """Measure methods on the bundled model; needs no workspace."""


@experiment.command(
    "forgetting",
    short_help="Make many edits in a row and test all of them after each.",
    examples=(
        "seal-console lab experiment forgetting",
        "seal-console lab experiment forgetting --edits 32 --methods naive,ours --out forgetting-32.json",
        "seal-console lab experiment forgetting --model smollm2 --passages squad.json --lineages 2",
    ),
)
@click.option(
    "--lineages",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Sequences of edits, trained side by side.",
)
@click.option(
    "--model", default=BUNDLED, show_default=True, metavar="PATH", callback=model_for_lab,
    help="Base model: a folder, or smollm2.",
)  # fmt: skip
@click.option(
    "--passages", type=click.Path(exists=True), help="Passages with questions, for any but the bundled model."
)
@click.option("--edits", type=click.IntRange(2, 64), default=8, show_default=True, help="Edits in each sequence.")
@click.option(
    "--methods", callback=several_of(METHODS), default="naive,ours", show_default=True, metavar="NAME,…",
    help=f"Methods: {', '.join(METHODS)}.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of everything random.")
@click.option("--out", metavar="FILE", help="Write all figures to FILE as JSON.")
@pass_invocation
def forgetting(invocation: Invocation, /, out: str | None, **parameters: Any) -> None:
    """Make many edits in a row and test all of them after each: the forgetting matrix, for several methods.

    Edits about new things alternate with changes of known things; unrelated known facts are tested too. Every method
    trains on the same edits: "naive" as the paper does, "perturbed-anchors" as a new workspace does, "ours" with the
    settings for many edits. A model other than the bundled one is taught the questions of passages, and asked the
    suites of general ability.
    """
    report_result(invocation, call_engine(invocation, "experiment.forgetting", parameters), out, _show)


@experiment.command(
    "collapse",
    short_help="Provoke a collapse of self-training and watch the alarms.",
    examples=(
        "seal-console lab experiment collapse",
        "seal-console lab experiment collapse --rounds 3 --out collapse.json",
    ),
)
@click.option("--rounds", type=click.IntRange(min=1), default=4, show_default=True, help="Rounds of each arm.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of everything random.")
@click.option("--out", metavar="FILE", help="Write all figures to FILE as JSON.")
@pass_invocation
def collapse(invocation: Invocation, /, out: str | None, **parameters: Any) -> None:
    """Provoke the collapse of self-training, and check whether the alarms notice it.

    The same rounds run twice: rewarded by measured accuracy, as everywhere else in this program, and by how often a
    candidate's answers agree with the majority, which needs no accepted answers. Each round takes about two minutes.
    """
    report_result(invocation, call_engine(invocation, "experiment.collapse", parameters), out, show_collapse)


def report_result(
    invocation: Invocation, result: dict[str, Any], out: str | None, show: Callable[[Output, dict[str, Any]], None]
) -> None:
    """Write a result to a file, if one is named, and show it."""
    if out is not None:
        write_file(Path(out), (json.dumps(result, indent=2) + "\n").encode("utf-8"))
    if invocation.output.as_json:
        invocation.output.data(result)
    else:
        show(invocation.output, result)


def _show(output: Output, result: dict[str, Any]) -> None:
    methods: dict[str, dict[str, Any]] = result["methods"]
    first = next(iter(methods.values()))
    headers = ("method", "after its edit", "at the end", "kept", "untouched", "CPU s", "cost")
    rows = [
        (
            name,
            percent(method["right_after_its_own_edit"]),
            percent(method["right_at_the_end"]),
            percent(method["kept_of_gained"]),
            f"{percent(method['untouched_before'])} → {percent(method['untouched_after'])}",
            f"{method['cpu_seconds']:.1f}",
            f"{method['cpu_seconds'] / first['cpu_seconds']:.2f} ×",
        )
        for name, method in methods.items()
    ]
    output.show(table(headers, rows, right=headers[1:]))
    for name, method in methods.items():
        output.show(show_text(f"{name}: {method['about']}", "bold"), _matrix(method["matrix"]))


def _matrix(matrix: list[list[float]]) -> str:
    """Rows: after which edit; columns: about which edit; shares of right answers in per cent."""
    edits = len(matrix)
    step = max(1, -(-edits // _SHOWN_EDITS))
    kept = sorted({*range(0, edits, step), edits - 1})
    lines = ["after edit  about edit " + "".join(f"{column + 1:>5}" for column in kept)]
    lines += [
        f"{row + 1:>10}             "
        + "".join(f"{100 * matrix[row][column]:>5.0f}" for column in kept if column <= row)
        for row in kept
    ]
    return "\n".join(lines) + "\n"


_HEADERS = ("round", "agreement", "held out", "audit", "reward", "different pairs", "alike", "words", "alarms")


def show_collapse(output: Output, result: dict[str, Any]) -> None:
    """Show each arm as a table, a round a line."""
    for name, arm in result["arms"].items():
        output.show(show_text(f"\n{name}: {arm['about']}", "bold"))
        output.show(table(_HEADERS, [_row(one) for one in arm["rounds"]], right=_HEADERS[:-1]))


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    return (
        str(one["round"]),
        percent(one["agreement"]),
        percent(one["held_out"]),
        percent(one["audit"]),
        gain(one["reward"]),
        percent(one["distinct"]),
        percent(one["likeness"]),
        f"{one['length']:g}",
        ", ".join(one["alarms"]) or "none",
    )
