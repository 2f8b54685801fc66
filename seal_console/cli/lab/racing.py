"""`lab racing`: what racing over repeats saves and loses, on a published run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.lab.published_runs.racing import measure_racing
from seal_console.cli.command import SealCommand
from seal_console.cli.invocation import pass_invocation
from seal_console.format import table
from store.durable import write_file
from store.wording import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seal_console.cli.invocation import Invocation


@click.command(
    "racing",
    cls=SealCommand,
    short_help="Measure what racing saves on a published run.",
    examples=("seal-console lab racing rank_iter0.json", "seal-console lab racing rank_iter0.json --out racing.json"),
)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the intervals.")
@click.option(
    "--out", metavar="FILE", type=click.Path(path_type=Path), help="Write the figures to this JSON file, too."
)
@pass_invocation
def racing(invocation: Invocation, file: Path, seed: int, out: Path | None) -> None:
    """Try the rules of round.racing, and others, on the verdicts of a published SEAL run (rank_iter*.json).

    For each rule: the share of trainings and of trained text, how often the same self-edit is kept, the accuracy lost
    by what is kept instead, and the accuracy on a repeat that did not decide. Needs no workspace and no model.
    """
    figures = measure_racing(file, seed)
    if out is not None:
        write_file(out, (json.dumps(figures, indent=1) + "\n").encode("utf-8"))
    output = invocation.output
    if output.as_json:
        output.data(figures)
        return
    headers = ("rule", "trainings", "text", "same kept", "accuracy lost", "accuracy, unseen repeat")
    output.show(table(headers, [_row(rule) for rule in figures["rules"]], right=headers[1:], whole=headers))
    output.show(
        f"{counted(figures['passages'], 'passage')}, {counted(figures['self_edits'], 'self-edit')}, "
        f"{counted(figures['repeats'], 'repeat')} each; mean accuracy of all self-edits "
        f"{figures['accuracy_of_all']:.1%}. In brackets: 95 % of 2,000 resamplings of the passages."
    )


def _row(rule: Mapping[str, Any]) -> tuple[str, ...]:
    shares = (_share(rule[name]) for name in ("trainings", "text", "same", "lost", "unseen"))
    return (str(rule["rule"]), *shares)


def _share(estimate: Mapping[str, float]) -> str:
    return f"{estimate['mean']:.1%} [{100 * estimate['low']:.1f}, {100 * estimate['high']:.1f}]"
