"""`lab bench`: how fast the engine is on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seal_console.cli.command import SealGroup, several_of
from seal_console.cli.engine_call import call_engine
from seal_console.cli.invocation import pass_invocation
from seal_console.format import facts, percent, table
from store.errors import SealError
from store.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from seal_console.cli.invocation import Invocation, Output


METHODS = ("bank", "peft", "seal")


@click.group(
    "bench",
    cls=SealGroup,
    short_help="Measure the engine on this machine.",
    examples=("seal-console lab bench inner --updates 12",),
)
def bench() -> None:
    """Measure the engine on this machine; needs no workspace."""


@bench.command(
    "cuda",
    short_help="Measure the engine on one GPU, in minutes.",
    examples=(
        "seal-console lab bench cuda --out cuda.json",
        "seal-console lab bench cuda --model ~/models/SmolLM2-135M-Instruct --out cuda.json",
    ),
)
@click.option("--model", metavar="PATH", help="A model of your own, measured besides random and bundled ones.")
@click.option("--minutes", type=float, default=9.0, show_default=True, help="No part begins after that many.")
@click.option(
    "--updates", type=click.IntRange(min=1), default=64, show_default=True, help="Inner updates for each method."
)
@click.option("--epochs", type=click.IntRange(min=1), default=2, show_default=True, help="Epochs of each inner update.")
@click.option(
    "--rounds", type=click.IntRange(min=1), default=2, show_default=True, help="How often methods take turns."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of data and adapters.")
@click.option("--any-device", is_flag=True, help="Run without a GPU too, to try it.")
@click.option("--out", required=True, metavar="FILE", help="Write all figures to FILE as JSON, after each part.")
@pass_invocation
def cuda(invocation: Invocation, /, **parameters: Any) -> None:
    """Measure the bank against PEFT in bfloat16, peak memory, equality of the adapters, and a round, on one GPU.

    What was measured is in FILE even if the machine goes away in between.
    """
    result = call_engine(invocation, "bench.cuda", parameters)
    if invocation.output.as_json:
        invocation.output.data(result)
        return
    rows = [(name, _in_short(part)) for name, part in result["parts"].items()]
    invocation.output.show(facts(rows), f"Written to {parameters['out']}.")


def _in_short(part: dict[str, Any] | None) -> str:
    if part is None:
        return "no time left"
    if "error" in part:
        return str(part["error"])
    if "ratios" in part:
        rate, ratio = part["methods"]["bank"]["steps_per_s"], part["ratios"]["peft"]["per_step"]
        return f"{rate:.1f} steps/s, {ratio:.2f} × PEFT"
    return f"{part['seconds']:.0f} s for {part['inner_updates']} inner updates"


@bench.command(
    "console",
    short_help="Time the console's keys over a large store.",
    examples=("seal-console lab bench console", "seal-console lab bench console --keep /tmp/large --out console.json"),
)
@click.option(
    "--candidates", type=click.IntRange(min=1_000), default=100_000, show_default=True, help="Number in the store."
)
@click.option("--events", type=click.IntRange(min=0), default=1_000_000, show_default=True, help="Number in the store.")
@click.option("--keys", type=click.IntRange(min=1), default=100, show_default=True, help="Keys pressed on each screen.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the store's contents.")
@click.option("--no-engine", is_flag=True, help="Skip the part with a running round.")
@click.option(
    "--keep", type=click.Path(path_type=Path), metavar="DIR", help="Keep the store in DIR, or use the one there."
)
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write all figures to FILE as JSON.")
@pass_invocation
def console(invocation: Invocation, /, keep: Path | None, out: Path | None, no_engine: bool, **effort: int) -> None:
    """Time the console in a real terminal over a large store: first paint, and each key until the screen shows it.

    Keys are timed with no engine and while a round runs on the same workspace. Needs pyte, which the test extra brings.
    """
    try:
        from seal_console.lab.measure_console import ConsoleBenchEffort, bench_console  # noqa: PLC0415
    except ImportError as error:
        raise SealError(
            f"{error.name} is not installed; lab bench console needs it.",
            next_step="pip install 'seal-console[test]'",
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
    short_help="Compare inner updates with SEAL's method and with PEFT.",
    examples=(
        "seal-console lab bench inner",
        "seal-console lab bench inner --model random-100m --epochs 1 --seal-steps 2",
    ),
)
@click.option("--model", default="bundled", show_default=True, metavar="bundled|random-100m|PATH", help="Base model.")
@click.option(
    "--updates", type=click.IntRange(min=1), default=64, show_default=True, help="Inner updates for each method."
)
@click.option(
    "--rounds", type=click.IntRange(min=1), default=3, show_default=True, help="How often the methods take turns."
)
@click.option(
    "--epochs", type=click.IntRange(min=1), default=10, show_default=True, help="Epochs of each inner update."
)
@click.option(
    "--seal-steps",
    type=click.IntRange(min=1),
    help="Stop SEAL's method after this many steps a round (default: one update).",
)
@click.option(
    "--slots", type=click.IntRange(min=1), help="Adapters that the bank trains at once (default: as many as fit)."
)
@click.option(
    "--methods",
    metavar=",".join(METHODS),
    callback=several_of(METHODS),
    default=",".join(METHODS),
    show_default=True,
    help="Methods to compare.",
)
@click.option(
    "--precision", type=click.Choice(["auto", "float32", "bfloat16"]), default="float32", show_default=True,
    help="Precision of the frozen base, the same for each method.",
)  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the data and the adapters."
)
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write all figures to FILE as JSON.")
@pass_invocation
def inner(invocation: Invocation, /, out: Path | None, **choices: Any) -> None:
    """Compare inner updates in the bank with SEAL's method and with a good sequential loop, on the same data.

    bank: adapters side by side over one base, always measured. peft: one after the other, no padding. seal: as SEAL's
    code does it, one at a time, padded to 2,048 tokens, adapters through the disk.
    """
    parameters = {**choices, "methods": list(choices["methods"]), "out": None if out is None else str(out.resolve())}
    result = call_engine(
        invocation, "bench.inner", parameters, next_step="seal-console lab bench inner with fewer --updates or --slots."
    )
    if invocation.output.as_json:
        invocation.output.data(result)
    else:
        show_bench(invocation.output, result)


_NAMES = {
    "bank": "bank: side by side",
    "peft": "peft: one by one, no padding",
    "seal": "seal: one by one, padded, through the disk",
}
_HEADERS = ("method", "updates/s", "steps/s", "real tokens/s", "slots busy", "peak memory", "bank is faster")
_MEBIBYTE = 2**20


def show_bench(output: Output, result: Mapping[str, Any]) -> None:
    """Show the figures of `lab bench inner`."""
    ratios = result.get("ratios", {})
    rows = [_row(name, method, ratios.get(name)) for name, method in result.get("methods", {}).items()]
    output.show(table(_HEADERS, rows, right=_HEADERS[1:]), "", facts(bench_facts(result)))


def show_console_bench(output: Output, result: Mapping[str, Any]) -> None:
    """Show the figures of `lab bench console`."""
    effort, paint = result["effort"], result["first_paint"]
    headers = ("key", "engine", "p50 ms", "p95 ms", "worst ms", "keys")
    rows = [
        (name.replace("_", " "), engine.replace("_", " "),
         *(f"{one[f'{kind}_ms']:.1f}" for kind in ("p50", "p95", "worst")), str(len(one["ms"])))
        for engine, figures in result["keys"].items()
        for name, one in figures.items()
        if isinstance(one, dict)
    ]  # fmt: skip
    output.show(
        facts(
            [
                ("store", f"{counted(effort['candidates'], 'candidate')}, {counted(effort['events'], 'event')}"),
                ("first paint", f"{paint['paint_after_import_s']:.2f} s after Textual is imported"),
            ]
        ),
        "",
        table(headers, rows, right=headers[2:]),
    )


def _row(name: str, method: Mapping[str, Any], ratio: Mapping[str, Any] | None) -> tuple[str, ...]:
    memory = method.get("peak_memory_bytes")
    return (
        _NAMES.get(name, name),
        f"{method['updates_per_s']:.2f}",
        f"{method['steps_per_s']:.1f}",
        f"{method['real_tokens_per_s']:,.0f}",
        percent(method["busy_share"]),
        "–" if memory is None else f"{memory / _MEBIBYTE:,.0f} MiB",
        "" if ratio is None else f"{ratio['per_step']:.1f} ×",
    )


def bench_facts(result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what was measured on, by name: model, work, machine, and what else the result has of that kind."""
    subject, jobs, environment = (result.get(part, {}) for part in ("subject", "jobs", "environment"))
    yield "model", ", ".join(f"{name} {value}" for name, value in subject.items())
    yield "work", ", ".join(f"{name.replace('_', ' ')} {_number(value)}" for name, value in jobs.items())
    yield "machine", ", ".join(f"{name} {value}" for name, value in environment.items())
    yield "slots", str(result.get("slots"))
    equality = result.get("equality")
    if equality:
        gap, compared = equality["largest_relative_weight_gap"], equality["compared"]
        yield (
            "equality",
            (
                f"{counted(compared, 'adapter')} of bank and peft differ by at most {gap:.1e} of their distance moved "
                "in training"
            ),
        )
        yield (
            "",
            f"and their logits by {equality['largest_logit_difference']:.1e} of up to {equality['largest_logit']:.1f}",
        )
    bounds = result.get("bounds")
    if bounds:
        reached, rate = bounds["reached_flops_per_s"], bounds["matrix_product_flops_per_s"]
        share = bounds["share_of_matrix_product_rate"]
        yield (
            "bounds",
            f"{reached / 1e9:.1f} GFLOP/s reached, {share:.1%} of the {rate / 1e9:.1f} of a plain matrix product here",
        )
        ticks = bounds["seconds_per_tick"]
        yield "a tick", ", ".join(f"{name.replace('_', ' ')} {1000 * value:.1f} ms" for name, value in ticks.items())


def _number(value: object) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
