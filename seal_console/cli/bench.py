"""`bench`: how fast the engine is on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seal_console.cli.bench_page import show_bench
from seal_console.cli.choices import several_of
from seal_console.cli.command import SealGroup
from seal_console.cli.engine_call import call_engine
from seal_console.cli.invocation import pass_invocation

if TYPE_CHECKING:
    from seal_console.cli.invocation import Invocation

WAYS = ("bank", "peft", "seal")


@click.group(
    "bench",
    cls=SealGroup,
    short_help="Measure the engine on this machine.",
    examples=("seal-console bench inner --updates 12",),
)
def bench() -> None:
    """Measure the engine on this machine; needs no workspace."""


@bench.command(
    "inner",
    examples=("seal-console bench inner", "seal-console bench inner --model random-100m --epochs 1 --seal-steps 2"),
)
@click.option(
    "--model", default="bundled", show_default=True, metavar="bundled|random-100m|PATH", help="On which base model."
)
@click.option(
    "--updates", type=click.IntRange(min=1), default=64, show_default=True, help="Inner updates for each way."
)
@click.option(
    "--rounds", type=click.IntRange(min=1), default=3, show_default=True, help="How often the ways take turns."
)
@click.option("--epochs", type=click.IntRange(min=1), default=10, show_default=True, help="Of each inner update.")
@click.option(
    "--seal-steps", type=click.IntRange(min=1), help="Stop SEAL's way after so many steps a round; else one update."
)
@click.option("--slots", type=click.IntRange(min=1), help="Adapters that the bank trains at once; else as many as fit.")
@click.option(
    "--ways",
    metavar=",".join(WAYS),
    callback=several_of(WAYS),
    default=",".join(WAYS),
    show_default=True,
    help="What to compare.",
)
@click.option(
    "--precision", type=click.Choice(["auto", "float32", "bfloat16"]), default="float32", show_default=True,
    help="Of the frozen base, the same for each way.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the data and the adapters.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write all figures there as JSON.")
@pass_invocation
def inner(invocation: Invocation, /, out: Path | None, **choices: Any) -> None:
    """Compare inner updates in the bank with SEAL's way and with a good sequential loop, on the same data.

    bank: adapters side by side over one base, always measured. peft: one after the other, no padding. seal: as SEAL's
    code does it, one at a time, padded to 2,048 tokens, adapters through the disk.
    """
    parameters = {**choices, "ways": list(choices["ways"]), "out": None if out is None else str(out.resolve())}
    result = call_engine(
        invocation, "bench.inner", parameters, next_step="seal-console bench inner with fewer --updates or --slots."
    )
    if invocation.output.as_json:
        invocation.output.data(result)
    else:
        show_bench(invocation.output, result)
