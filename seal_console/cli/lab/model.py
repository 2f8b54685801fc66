"""`lab model`: build the bundled model from a seed, and measure it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.bundled import BUNDLED
from seal_console.cli.command import SealGroup
from seal_console.cli.engine_call import call_engine
from seal_console.cli.invocation import pass_invocation
from seal_console.format import facts, show_text, table
from store.errors import WrongUseError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

    from seal_console.cli.invocation import Invocation, Output


@click.group(
    "model",
    cls=SealGroup,
    short_help="Build or measure the bundled model.",
    examples=("seal-console lab model measure",),
)
def model() -> None:
    """Build the bundled model from a seed, and measure such a model."""


@model.command(
    "build",
    short_help="Build the bundled model from a seed.",
    examples=("seal-console lab model build my-model --seed 7",),
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of everything random.")
@click.option("--steps", type=click.IntRange(min=1), help="Training steps (default: as many as the bundled model had).")
@pass_invocation
def build(invocation: Invocation, folder: Path, seed: int, steps: int | None) -> None:
    """Make corpus, tokenizer and weights of the bundled model from a seed, in DIR. Takes long on a CPU."""
    if folder.is_file() or (folder.is_dir() and any(path.suffix == ".safetensors" for path in folder.iterdir())):
        raise WrongUseError(f"{folder} already has a model, or is a file.", next_step="Name another folder.")
    parameters = {"folder": str(folder.resolve()), "seed": seed, "steps": steps}
    result = call_engine(invocation, "model.build", parameters, next_step=f"seal-console lab model build {folder}")
    if invocation.output.as_json:
        invocation.output.data(result)
        return
    show_measures(invocation.output, result)
    invocation.output.show(f"Next: seal-console lab model measure --model {folder}")


@model.command(
    "measure",
    short_help="Measure the abilities that the model card states.",
    examples=("seal-console lab model measure", "seal-console lab model measure --model my-model"),
)
@click.option("--model", "path", default=BUNDLED, show_default=True, metavar="PATH", help="Folder of the model.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the tested facts.")
@pass_invocation
def measure(invocation: Invocation, path: str, seed: int) -> None:
    """Measure the abilities that the card states."""
    chosen = path if path == BUNDLED else str(Path(path).resolve())
    result = call_engine(
        invocation, "model.measure", {"model": chosen, "seed": seed}, next_step="seal-console lab model measure"
    )
    if invocation.output.as_json:
        invocation.output.data(result)
    else:
        show_measures(invocation.output, result)


def show_measures(output: Output, measures: Mapping[str, Any]) -> None:
    """Show a result of the engine: plain figures first, then a table for each nested value."""
    simple = {name: value for name, value in measures.items() if not _is_nested(value)}
    if simple:
        output.show(facts((_label(name), _figure(value)) for name, value in simple.items()))
    for name, value in measures.items():
        if _is_nested(value):
            output.show(show_text(f"\n{_label(name)}", "bold"), _nested(value))


def _is_nested(value: Any) -> bool:
    parts = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return isinstance(value, dict) or any(isinstance(part, (dict, list)) for part in parts)


def _nested(value: Any) -> RenderableType:
    rows: dict[str, Any] = value if isinstance(value, dict) else {str(i + 1): row for i, row in enumerate(value)}
    if not all(isinstance(row, dict) for row in rows.values()):
        return facts((_label(name), _figure(row)) for name, row in rows.items())
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    headers = ("", *(_label(column) for column in columns))
    cells = [(_label(name), *(_figure(row.get(column)) for column in columns)) for name, row in rows.items()]
    return table(headers, cells, right=headers[1:])


def _label(name: str) -> str:
    return name.replace("_", " ")


def _figure(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"  # noqa: PLR2004 - decimals no longer matter
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value)
