"""The comparison of inner updates as a page: a row for each way, whether the adapters are equal, and what bounds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seal_console.format import facts, percent, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from seal_console.cli.output import Output

_NAMES = {
    "bank": "bank: side by side",
    "peft": "peft: one by one, no padding",
    "seal": "seal: one by one, padded, through the disk",
}
_HEADERS = ("way", "updates/s", "steps/s", "real tokens/s", "slots busy", "peak memory", "bank is faster")
_MEBIBYTE = 2**20


def show_bench(output: Output, result: Mapping[str, Any]) -> None:
    """Show the figures of `bench inner`."""
    ratios = result.get("ratios", {})
    rows = [_row(name, way, ratios.get(name)) for name, way in result.get("ways", {}).items()]
    output.show(table(_HEADERS, rows, right=_HEADERS[1:]), "", facts(_facts(result)))


def show_console_bench(output: Output, result: Mapping[str, Any]) -> None:
    """Show the figures of `bench console`."""
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
                ("store", f"{effort['candidates']:,} candidates, {effort['events']:,} events"),
                ("first paint", f"{paint['paint_after_import_s']:.2f} s after Textual is imported"),
            ]
        ),
        "",
        table(headers, rows, right=headers[2:]),
    )


def _row(name: str, way: Mapping[str, Any], ratio: Mapping[str, Any] | None) -> tuple[str, ...]:
    memory = way.get("peak_memory_bytes")
    return (
        _NAMES.get(name, name),
        f"{way['updates_per_s']:.2f}",
        f"{way['steps_per_s']:.1f}",
        f"{way['real_tokens_per_s']:,.0f}",
        percent(way["busy_share"]),
        "–" if memory is None else f"{memory / _MEBIBYTE:,.0f} MiB",
        "" if ratio is None else f"{ratio['per_step']:.1f} ×",
    )


def _facts(result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    subject, jobs, environment = (result.get(part, {}) for part in ("subject", "jobs", "environment"))
    yield "model", ", ".join(f"{name} {value}" for name, value in subject.items())
    yield "work", ", ".join(f"{name.replace('_', ' ')} {_number(value)}" for name, value in jobs.items())
    yield "machine", ", ".join(f"{name} {value}" for name, value in environment.items())
    yield "slots", str(result.get("slots"))
    equality = result.get("equality")
    if equality:
        gap, compared = equality["largest_relative_weight_gap"], equality["compared"]
        yield "equality", f"{compared} adapters of bank and peft differ by at most {gap:.1e} of their way in training"
        yield (
            "",
            f"and their logits by {equality['largest_logit_difference']:.1e} of up to {equality['largest_logit']:.1f}",
        )
    bounds = result.get("bounds")
    if bounds:
        reached, rate = bounds["reached_flops_per_s"], bounds["matrix_product_flops_per_s"]
        yield "bounds", f"{reached / 1e9:.1f} GFLOP/s reached, {rate / 1e9:.1f} by a plain matrix product here"
        ticks = bounds["seconds_per_tick"]
        yield "a tick", ", ".join(f"{name.replace('_', ' ')} {1000 * value:.1f} ms" for name, value in ticks.items())


def _number(value: object) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
