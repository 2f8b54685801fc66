"""`export`: training data and tables as files for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from engine.loop.export_sft import export_round
from engine.loop.select import SelectionMode
from seal_console.cli.command import SealGroup
from seal_console.cli.invocation import pass_invocation
from seal_console.cli.workspace_session import open_to_show
from seal_console.queries.exports import TABLES, ExportRequest, find_table
from seal_console.table_files import write_csv, write_table
from store.durable import write_file
from store.errors import ExitCode, WrongUseError
from store.sanitize import json_line
from store.wording import counted

if TYPE_CHECKING:
    from seal_console.cli.invocation import Invocation


@click.group(
    "export",
    cls=SealGroup,
    short_help="Write files for other programs.",
    examples=("seal-console export sft --selection paper --out sft.jsonl", "seal-console export table review"),
)
def export_group() -> None:
    """Write kept self-edits, or any of the console's tables, to files for other programs."""


@export_group.command(
    "sft",
    short_help="Write the self-edits that a round keeps as JSONL.",
    examples=(
        "seal-console export sft --selection best-k > sft.jsonl",
        "seal-console export sft --selection paper --round 1 --out sft_best1of5.jsonl",
    ),
    exits=(ExitCode.NOTHING_TO_DO,),
)
@click.option(
    "--selection", type=click.Choice(get_args(SelectionMode)),
    help="best-k needs a reward above the threshold, paper takes the best regardless (default: as in seal.yaml).",
)  # fmt: skip
@click.option(
    "--round", "round_number", type=click.IntRange(min=1), metavar="N", help="Round to export (default: the newest)."
)
@click.option(
    "--out", default="-", show_default=True, metavar="FILE|-", help="Output file, one row a line; - is stdout."
)
@click.option("--force", is_flag=True, help="Overwrite an existing FILE.")
@pass_invocation
def sft(
    invocation: Invocation,
    selection: SelectionMode | None,
    round_number: int | None,
    out: str,
    force: bool,
) -> None:
    """Write the self-edits that a round kept as JSONL rows of "prompt" and "completion", to train a policy on.

    The choice is made again from the stored answers; how many of each task, and above which reward, is in the settings.
    """
    _refuse_overwriting(out, force=force)
    with open_to_show(invocation) as found:
        wanted = found.settings.round
        export = export_round(
            found.db,
            round_number,
            mode=selection or wanted.selection,
            best_k=wanted.best_k,
            threshold=wanted.threshold,
        )
    output = invocation.output
    where = "stdout" if out == "-" else out
    summary = (
        f"{counted(len(export.rows), 'row')} from {counted(export.candidates, 'candidate')} "
        f"of round {export.round_number} → {where}"
    )
    if out == "-":
        for row in export.rows:
            output.data(row)
        output.narrate(summary)
        return
    write_file(Path(out), "".join(json_line(row) + "\n" for row in export.rows).encode("utf-8"))
    invocation.has_acted = True
    if output.as_json:
        counts = {"round": export.round_number, "candidates": export.candidates, "rows": len(export.rows)}
        output.data({**counts, "file": str(Path(out).resolve())})
    else:
        output.show(summary)


@export_group.command(
    "table",
    short_help="Write one of the console's tables as CSV or JSON.",
    examples=(
        'seal-console export table review --filter "reward>0.5" --sort audit > best.csv',
        "seal-console export table tasks --sort weakness --json",
        "seal-console export table candidates --round 3 --out round-3.json",
    ),
)
@click.argument("name", metavar="TABLE", type=click.Choice(TABLES))
@click.option(
    "--filter", "text", default="", metavar="TEXT", help="Filter as in the console: words, field:word, field>1."
)
@click.option("--sort", metavar="COLUMN", help="Column to sort by; an unknown one lists the choices.")
@click.option("--reverse", "backwards", is_flag=True, help="Reverse the order.")
@click.option("--all", "everything", is_flag=True, help="review: include decided, refused and imported candidates.")
@click.option(
    "--round", "round_number", type=click.IntRange(min=1), metavar="N",
    help="candidates: of this round (default: the newest).",
)  # fmt: skip
@click.option("--out", default="-", show_default=True, metavar="FILE|-", help="A new .csv or .json file; - is stdout.")
@pass_invocation
def table_command(invocation: Invocation, /, name: str, out: str, **of_table: Any) -> None:
    """Write one of the console's tables: review, versions, rounds, candidates (of a round), tasks, events or retention.

    Prints CSV, or with --json one object a line; the ending of FILE chooses its format.
    """
    wanted = ExportRequest(**of_table)
    output = invocation.output
    with open_to_show(invocation) as found:
        table = find_table(found.db, name, wanted)
        if out != "-":
            count = write_table(Path(out), table.headers, table.rows(found.db))
            invocation.has_acted = True
        elif output.as_json:
            for row in table.rows(found.db):
                output.data(dict(zip(table.headers, row, strict=True)))
            return
        else:
            count = 0
            with output.giving_up():
                count = write_csv(output.out.file, table.headers, table.rows(found.db))
                output.out.file.flush()
    if out == "-":
        if not output.failures:
            output.narrate(f"{counted(count, 'row')} → stdout")
    elif output.as_json:
        output.data({"table": table.name, "rows": count, "file": str(Path(out).resolve())})
    else:
        output.show(f"{counted(count, 'row')} → {out}")


def _refuse_overwriting(out: str, *, force: bool) -> None:
    path = Path(out)
    if out == "-":
        return
    if not path.parent.is_dir():
        raise WrongUseError(
            f"There is no folder {path.parent}.", next_step="Create it, or name another file with --out."
        )
    if path.exists() and (not force or path.is_dir()):
        raise WrongUseError(f"{path} exists.", next_step="--force overwrites it; or name another file.")
