"""`review edit`: a changed self-edit, trained and examined as a new candidate."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seal_console.cli.command import SealCommand
from seal_console.cli.invocation import pass_invocation
from seal_console.cli.workspace_session import open_to_change
from seal_console.console.engine_control import ask_to_reexamine
from seal_console.format import short_id
from seal_console.start_engine import start_engine
from store.candidates import get_candidate
from store.errors import WrongUseError
from store.lock import current_user

if TYPE_CHECKING:
    from seal_console.cli.invocation import Invocation


@click.command(
    "edit",
    cls=SealCommand,
    short_help="Have a changed self-edit examined.",
    examples=("seal-console review edit 3fa9c1 --text better.txt", "seal-console review edit 3fa9c1 --off 2 --off 3"),
)
@click.argument("candidate_id", metavar="ID")
@click.option("--text", type=click.Path(path_type=Path), metavar="FILE", help="The whole new text.")
@click.option("--off", type=click.IntRange(min=1), multiple=True, metavar="N", help="Leave training sequence N out.")
@click.option("--as", "actor", metavar="ACTOR", help="Who edits; without it, the user of this process.")
@pass_invocation
def edit(invocation: Invocation, candidate_id: str, text: Path | None, off: tuple[int, ...], actor: str | None) -> None:
    """Ask the engine to examine a changed self-edit as a new candidate; the old one stays as it is.

    An engine is started in the background where none runs; the new candidate comes into the queue.
    """
    payload = _payload(text, off)
    with open_to_change(invocation) as found:
        candidate = get_candidate(found.db, candidate_id)
        wrong = [number for number in off if number > len(candidate.sequences)]
        if wrong:
            raise WrongUseError(f"There is no sequence {wrong[0]}: the self-edit has {len(candidate.sequences)}.")
        job = ask_to_reexamine(
            found.workspace, found.db, {"candidate": candidate.id, **payload}, actor or current_user(), start_engine
        )
    if invocation.output.as_json:
        invocation.output.data(asdict(job))
    else:
        invocation.output.show(
            f"Added job {job.id}: evaluate {short_id(candidate.id)} with your changes. "
            "It comes as a new candidate: seal-console review list"
        )


def _payload(text: Path | None, off: tuple[int, ...]) -> dict[str, Any]:
    if (text is None) == (not off):
        raise WrongUseError("Say what is changed: --text FILE with the whole new text, or --off N for sequences.")
    if text is None:
        return {"off": sorted({number - 1 for number in off})}
    try:
        return {"completion": text.read_text(encoding="utf-8").rstrip("\n")}
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUseError(f"{text} cannot be read as UTF-8 text: {error}") from error
