"""`lab bench busy`: threads against processes on a CPU that another program uses too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seal_console.cli.command import SealCommand
from seal_console.cli.engine_call import call_engine
from seal_console.cli.invocation import pass_invocation
from seal_console.cli.lab.bench import bench_facts
from seal_console.format import facts, table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seal_console.cli.invocation import Invocation, Output


@click.command(
    "busy",
    cls=SealCommand,
    short_help="Compare threads and processes while another program computes.",
    examples=(
        "seal-console lab bench busy",
        "seal-console lab bench busy --model ~/models/SmolLM2-135M-Instruct --updates 8 --epochs 1 --out busy.json",
    ),
)
@click.option("--model", default="bundled", show_default=True, metavar="bundled|random-100m|PATH", help="Base model.")
@click.option(
    "--updates", type=click.IntRange(min=1), default=64, show_default=True, help="Inner updates in each turn."
)
@click.option("--epochs", type=click.IntRange(min=1), default=5, show_default=True, help="Epochs of each inner update.")
@click.option(
    "--rounds", type=click.IntRange(min=1), default=3, show_default=True, help="How often each has its turns."
)
@click.option("--processes", type=click.IntRange(min=1), help="Processes (default: one for each core, at least two).")
@click.option("--slots", type=click.IntRange(min=1), help="Adapters trained at once, in all (default: as many as fit).")
@click.option(
    "--precision", type=click.Choice(["auto", "float32", "bfloat16"]), default="auto", show_default=True,
    help="Precision of the frozen base.",
)  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the data and the adapters."
)
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write all figures to FILE as JSON.")
@pass_invocation
def busy(invocation: Invocation, /, out: Path | None, **choices: Any) -> None:
    """Compare one process with all threads, one with one thread, and several with one thread each, on a CPU.

    They take turns, alone and next to a process that multiplies matrices the whole time, and train the same updates.
    """
    parameters = {**choices, "out": None if out is None else str(out.resolve())}
    result = call_engine(
        invocation, "bench.busy", parameters, next_step="seal-console lab bench busy with fewer --updates or --slots."
    )
    if invocation.output.as_json:
        invocation.output.data(result)
    else:
        show_busy_bench(invocation.output, result)


_BUSY_NAMES = {
    "all_threads": "one process, all threads",
    "one_thread": "one process, one thread",
    "processes": "several processes, one thread each",
}


def show_busy_bench(output: Output, result: Mapping[str, Any]) -> None:
    """Show the figures of `lab bench busy`."""
    headers = ("", "steps/s alone", "tokens/s alone", "steps/s, a core taken", "tokens/s, a core taken", "takes")
    alone, taken = result["loads"]["alone"], result["loads"]["one_core_taken"]
    rows = [
        (name, *(f"{one[rate]:,.1f}" for one in (alone[way], taken[way]) for rate in ("steps_per_s", "tokens_per_s")),
         f"{result['times_as_long_with_a_core_taken'][way]:.1f} × as long")
        for way, name in _BUSY_NAMES.items()
    ]  # fmt: skip
    of_load = result["processes_over_all_threads"]
    said = f"{of_load['alone']:.2f} × alone, {of_load['one_core_taken']:.2f} × with a core taken"
    more = [("processes", f"{result['processes']}, {said} of all threads' steps/s"), *bench_facts(result)]
    output.show(table(headers, rows, right=headers[1:]), "", facts(more))
