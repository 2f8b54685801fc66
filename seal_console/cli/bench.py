"""`bench`: how fast the engine is on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seal_console.cli.choices import several_of
from seal_console.cli.command import SealGroup
from seal_console.cli.engine_call import call_engine
from seal_console.cli.invocation import pass_invocation
from seal_console.cli.render_bench import show_bench, show_console_bench
from store.errors import SealError

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
    "console",
    examples=("seal-console bench console", "seal-console bench console --keep /tmp/large --out console.json"),
)
@click.option("--candidates", type=click.IntRange(min=1_000), default=100_000, show_default=True, help="In the store.")
@click.option("--events", type=click.IntRange(min=0), default=1_000_000, show_default=True, help="In the store.")
@click.option("--keys", type=click.IntRange(min=1), default=100, show_default=True, help="Keys pressed on each screen.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of what is in the store.")
@click.option("--no-engine", is_flag=True, help="Leave out the part in which a round runs.")
@click.option(
    "--keep", type=click.Path(path_type=Path), metavar="DIR", help="Keep the store there, or use the one that is there."
)
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write all figures there as JSON.")
@pass_invocation
def console(invocation: Invocation, /, keep: Path | None, out: Path | None, no_engine: bool, **effort: int) -> None:
    """Time the console in a real terminal over a large store: first paint, and each key until the screen shows it.

    Keys are timed with no engine and while a round runs on the same workspace. Needs pyte, which the test extra brings.
    """
    try:
        from seal_console.lab.measure_console import ConsoleBenchEffort, bench_console  # noqa: PLC0415
    except ImportError as error:
        raise SealError(
            f"bench console needs {error.name}, which is not installed.", next_step="pip install 'seal-console[test]'"
        ) from error
    result = bench_console(
        ConsoleBenchEffort(**effort, with_engine=not no_engine),
        keep=None if keep is None else keep.resolve(),
        out=out,
        narrate=invocation.output.narrate,
    )
    if invocation.output.as_json:
        invocation.output.data(result)
    else:
        show_console_bench(invocation.output, result)


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
