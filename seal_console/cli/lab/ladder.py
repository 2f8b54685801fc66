"""`lab ladder`: how much of a passage a model learns from what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from engine.bundled import BUNDLED
from engine.settings.presets import PRESET_NAMES
from seal_console.cli.command import SealCommand
from seal_console.cli.engine_call import call_engine
from seal_console.cli.invocation import pass_invocation
from seal_console.cli.lab.experiment import report_result
from seal_console.cli.named_model import model_for_lab
from seal_console.format import percent, table

if TYPE_CHECKING:
    from seal_console.cli.invocation import Invocation, Output

_FILE = click.Path(exists=True)


@click.command(
    "ladder",
    cls=SealCommand,
    short_help="Measure what a model learns from a passage, rung by rung.",
    examples=(
        "seal-console lab ladder --model ~/models/SmolLM2-135M-Instruct --passages squad.json --work ladder-0",
        "seal-console lab ladder --passages squad.json --teacher eval_iter2.json --train 4 --held-out 4 --work try",
    ),
)
@click.option(
    "--model", default=BUNDLED, show_default=True, metavar="PATH", callback=model_for_lab,
    help="Base model: a folder, or smollm2.",
)  # fmt: skip
@click.option("--passages", type=_FILE, required=True, help="Passages with questions: SQuAD, or any task file.")
@click.option("--teacher", type=_FILE, help="A published SEAL run; its passages are held out, its self-edits compared.")
@click.option("--warm-up", type=_FILE, help="Rows of prompt and completion to train the policy on before round 1.")
@click.option("--train", type=click.IntRange(min=1), default=30, show_default=True, help="Passages of the rounds.")
@click.option("--held-out", type=click.IntRange(min=1), default=30, show_default=True, help="Passages of the rungs.")
@click.option("--questions", type=click.IntRange(min=1), default=6, show_default=True, help="Most for each passage.")
@click.option("--rounds", type=click.IntRange(min=0), default=2, show_default=True, help="Rounds of ReST^EM.")
@click.option("--edits", type=click.IntRange(min=1), default=3, show_default=True, help="Self-edits for each passage.")
@click.option("--held-out-edits", type=click.IntRange(min=1), default=1, show_default=True, help="The same, held out.")
@click.option("--joined", type=click.IntRange(min=1), default=1, show_default=True, help="Self-edits put together.")
@click.option(
    "--warm-up-passages", type=click.IntRange(min=0), default=0, show_default=True,
    help="Other passages whose questions the policy learns to write before round 1.",
)  # fmt: skip
@click.option(
    "--warm-up-taught", type=click.IntRange(min=0), default=0, show_default=True,
    help="Other passages whose self-edits by the teacher the policy learns to write before round 1.",
)  # fmt: skip
@click.option(
    "--general", type=click.IntRange(0, 280), default=28, show_default=True, help="Prompts of general ability."
)
@click.option("--preset", type=click.Choice(PRESET_NAMES), help="Settings (default: chosen by the model's size).")
@click.option("--set", multiple=True, metavar="KEY=VALUE", help="Change a setting, e.g. self_edit.format=rewrite.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of everything random.")
@click.option("--work", required=True, metavar="DIR", help="Keeps what is done; the same command continues there.")
@click.option("--out", metavar="FILE", help="Write all figures to FILE as JSON.")
@pass_invocation
def ladder(invocation: Invocation, /, out: str | None, **parameters: Any) -> None:
    """Measure how many questions about a passage a model answers without it: untouched, taught, and rewarded.

    Rungs: the base, without and with the passage in view; after an update on the bare passage; on self-edits of the
    untrained policy and of the policy after each round; on a teacher's self-edits; on the questions with their answers.
    Every figure has its 95 % interval over passages. It takes hours on two cores; an interrupted one continues.
    """
    report_result(invocation, call_engine(invocation, "ladder", parameters), out, _show)


def _show(output: Output, result: dict[str, Any]) -> None:
    headers = ("rung", "right", "accuracy", "95 % interval", "other words", "equal", "F1", "cut off", "general ability")
    rows = [
        (
            name,
            f"{rung['right']:,} of {rung['questions']:,}",
            percent(rung["accuracy"]),
            f"{rung['interval_95'][0] * 100:.0f}–{rung['interval_95'][1] * 100:.0f} %",
            percent(rung["reworded"]),
            percent(rung["equal"]),
            f"{rung['f1']:.3f}",
            percent(rung["cut"]),
            _general(rung["general"]),
        )
        for name, rung in result["rungs"].items()
    ]
    output.show(table(headers, rows, right=headers[1:]))


def _general(figures: dict[str, int] | None) -> str:
    """Return how many of the same prompts of general ability were answered right before and after the updates."""
    return "–" if figures is None else f"{figures['before']} → {figures['after']} of {figures['asked']:,}"
