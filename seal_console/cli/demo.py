"""`demo`: the whole job on the bundled model, in a workspace of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.demo.workspace import make_demo_workspace, take_in
from seal_console.cli.command import SealCommand
from seal_console.cli.console import on_a_terminal, open_console
from seal_console.cli.engine_call import call_engine
from seal_console.cli.invocation import pass_invocation
from seal_console.format import bar, percent, table
from store.database import open_database
from store.errors import ExitCode, WrongUseError
from store.jobs import add_job
from store.lock import current_user

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from seal_console.cli.invocation import Invocation

DEFAULT_FOLDER = "seal-demo"


@click.command(
    "demo",
    cls=SealCommand,
    short_help="Show the whole loop on the bundled model.",
    examples=("seal-console demo", "seal-console demo /tmp/demo --headless --rounds 2 --json"),
    exits=(ExitCode.LOCKED,),
)
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--headless", is_flag=True, help="Print a plain-text log, as without a terminal.")
@click.option("--rounds", type=click.IntRange(min=1), default=2, show_default=True, help="How many rounds to run.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of documents and rounds.")
@pass_invocation
def demo(invocation: Invocation, folder: Path | None, headless: bool, rounds: int, seed: int) -> None:
    """Show the whole loop on the bundled model: documents, rounds, versions, a rollback. No download, no GPU.

    On a terminal it opens the console on a new workspace while rounds run; otherwise, and with --headless, it prints
    the story as text. The workspace is DIR; without DIR, ./seal-demo, or ./seal-demo-2 and so on if that exists.
    """
    if invocation.workspace_folder is not None:
        raise WrongUseError(
            f"demo makes a workspace of its own, so -w ({invocation.workspace_folder}) contradicts it.",
            next_step="seal-console demo DIR names its folder.",
        )
    chosen = fresh_folder(Path(DEFAULT_FOLDER)) if folder is None else _require_free(folder)
    if not headless and not invocation.as_json and on_a_terminal():
        _live(invocation, chosen, rounds, seed)
        return
    invocation.output.say(f"Demo workspace: {chosen.resolve()}")
    result = call_engine(
        invocation,
        "demo",
        {"folder": str(chosen.resolve()), "rounds": rounds, "seed": seed},
        story=True,
        next_step=f"seal-console -w {chosen} run --rounds 1 continues; "
        f"seal-console demo {fresh_folder(chosen, is_taken=True)} starts again.",
    )
    if invocation.output.as_json:
        invocation.output.data(result)
    else:
        _show(invocation, result, chosen)


def _live(invocation: Invocation, folder: Path, rounds: int, seed: int) -> None:
    """Open the console on a fresh workspace whose first round runs already; the workspace stays."""
    workspace, documents = make_demo_workspace(folder.resolve(), seed)
    take_in(workspace, documents.pages)
    db = open_database(workspace.database_file)
    try:
        add_job(db, "run", {"rounds": rounds}, current_user())  # the console starts the engine for it
    finally:
        db.conn.close()
    open_console(workspace, read_only=False, actor=None)
    invocation.output.show(
        f"The demo stays in {folder}. To continue: seal-console -w {folder}",
        f"It has release notes that change known facts: seal-console -w {folder} tasks add {documents.notes}",
    )


def fresh_folder(wanted: Path, *, is_taken: bool = False) -> Path:
    """Return `wanted`, or the first of wanted-2, wanted-3, … that does not exist; `is_taken` if it soon will."""
    number, folder, whole = 1, wanted, wanted.resolve()  # "." has no name of its own
    while folder.exists() or (is_taken and number == 1):
        number += 1
        folder = wanted.parent / f"{whole.name}-{number}" if wanted.name else whole.with_name(f"{whole.name}-{number}")
    return folder


def _require_free(folder: Path) -> Path:
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise WrongUseError(
            f"{folder} exists and is not empty.",
            next_step=f"seal-console demo {fresh_folder(folder)}; or seal-console -w {folder} info shows it.",
        )
    return folder


def _show(invocation: Invocation, result: Mapping[str, Any], folder: Path) -> None:
    output = invocation.output
    headings = ("questions about unseen documents", "accuracy", "right", "95 % interval", "")
    rows = [_row(name, figure) for name, figure in _rows(result)]
    output.show("", table(headings, rows, right=("accuracy", "right", "95 % interval")))
    versions = ", ".join(_name(version) for version in result.get("versions", ()))
    output.show(
        f"Accepted versions: {versions or 'none'}. Live: {result.get('live') or 'v0000 (base)'}.",
        *_known_facts(result),
        f"It took {result.get('elapsed_s', 0):.0f} s.",
        "",
        "What to try next:",
        f"  cd {folder}",
        "  seal-console review list                 the self-edits that wait for a decision",
        "  seal-console review show ID              one of them, with its answers before and after",
        "  seal-console versions list               what was accepted, and what is live",
        "  git -C adapters log --oneline --all      the same with git",
    )


def _known_facts(result: Mapping[str, Any]) -> list[str]:
    """Show how many facts that no document mentions each version still answers correctly."""
    known = ", ".join(f"{tag} {one['right']:,} of {one['of']:,}" for tag, one in result["known_facts"].items())
    return [f"Unrelated facts still answered correctly: {known}"]


def _rows(result: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "base model", result["base"]
    yield "trained on the context only", result["context_only"]
    for number, figure in enumerate(result["rounds"]):
        yield ("self-edits before training" if number == 0 else f"self-edits after round {number}"), figure


def _row(name: str, figure: Mapping[str, Any]) -> tuple[str, ...]:
    low, high = figure["interval_95"]
    right = f"{figure['right']} of {figure['answers']}"
    return name, percent(figure["accuracy"]), right, f"{100 * low:.0f}–{100 * high:.0f} %", bar(figure["accuracy"])


def _name(version: Any) -> str:
    return str(version.get("tag", version)) if isinstance(version, dict) else str(version)
