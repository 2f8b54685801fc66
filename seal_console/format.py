"""Makes all Rich text of the command line: everything passes `sanitize` here and is never parsed as markup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from store.sanitize import sanitize, sanitize_line
from store.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from seal_console.render_gate import VerdictLabel

Cell = str | Text
RIGHT_SIGN, WRONG_SIGN, LIVE_SIGN = "✓", "✗", "●"
_BAR_WIDTH = 30
_ID_LENGTH = 12


def show_text(text: str, style: str = "") -> Text:
    """Return text for display, line breaks included."""
    return Text(sanitize(text), style=style)


def show_line(text: str, style: str = "", limit: int | None = None) -> Text:
    """Return text to show on a single line."""
    return Text(sanitize_line(text, limit), style=style)


def indent_text(text: str, style: str = "") -> Text:
    """Return text with each line indented, so that it cannot pass for the command's own output."""
    return Text("\n".join(f"    {line}" for line in sanitize(text).split("\n")), style=style)


def verdict(correct: bool) -> Text:
    """Return "✓ right" or "✗ wrong": sign, word and colour."""
    return Text(f"{RIGHT_SIGN} right", style="green") if correct else Text(f"{WRONG_SIGN} wrong", style="red")


def pass_mark(ok: bool) -> Text:
    """Return "✓ passed" or "✗ failed": sign, word and colour."""
    return Text(f"{RIGHT_SIGN} passed", style="green") if ok else Text(f"{WRONG_SIGN} failed", style="red")


def gate_verdict(words: VerdictLabel) -> Text:
    """Return a gate's verdict: sign, word and colour."""
    styles = {"good": "green", "bad": "red", "warn": "yellow", "dim": "dim"}
    return Text(str(words), style=styles[words.tone])


def table(
    headers: Sequence[str], rows: Iterable[Sequence[Cell]], *, right: Sequence[str] = (), whole: Sequence[str] = ()
) -> Table:
    """Return a table; plain strings are sanitized and put on one line. `right` names numeric columns.

    On a narrow terminal, the columns named `whole` are the last to be broken.
    """
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for header in headers:
        justify = "right" if header in right else "left"
        drawn.add_column(show_line(header), justify=justify, overflow="fold", no_wrap=header in whole)  # type: ignore[arg-type]
    for row in rows:
        drawn.add_row(*(cell if isinstance(cell, Text) else show_line(cell) for cell in row))
    return drawn


def facts(rows: Iterable[tuple[str, Cell]]) -> Text:
    """Return names with their values, one a line; a value is never broken, so that a path can be copied whole."""
    named = [(sanitize_line(name), value if isinstance(value, Text) else show_line(value)) for name, value in rows]
    width = max((len(name) for name, _ in named), default=0)
    lines = [Text.assemble((f"{name:<{width}}  ", "dim"), value) for name, value in named]
    return Text("\n").join(lines)


def percent(share: float | None) -> str:
    """Return an accuracy (0 … 1) in percent."""
    return "–" if share is None else f"{100 * share:.1f} %"


def gain(value: float | None, spread: float | None = None) -> str:
    """Return a gain (−1 … 1) with its sign, and its spread over repeats if there is one."""
    if value is None:
        return "not measured"
    return f"{value:+.3f}" if spread is None else f"{value:+.3f} ± {spread:.3f}"


def gain_of_repeats(mean: float | None, spread: float | None, repeats: int) -> str:
    """Return a reward (−1 … 1) and how many repeats it rests on; the spread of a single one says nothing."""
    if not repeats:
        return gain(mean, spread)
    return f"{gain(mean, spread if repeats > 1 else None)} over {counted(repeats, 'repeat')}"


def bar(share: float | None) -> str:
    """Return an accuracy (0 … 1) as a bar of text."""
    filled = round(_BAR_WIDTH * min(max(share or 0.0, 0.0), 1.0))
    return "█" * filled + "·" * (_BAR_WIDTH - filled)


ROLES: dict[str, str] = {"train": "training task", "held_out": "held-out task"}
NOUN_OF_ACTION: dict[str, str] = {"accept": "acceptance", "reject": "rejection", "defer": "deferral", "undo": "undo"}
# What is true of a candidate again when the decision about it was undone, by its state.
AFTER_UNDO: dict[str, str] = {"examined": "waits for a decision again", "deferred": "is deferred again"}


def short_id(identity: str) -> str:
    """Return the beginning of a hash, long enough to name it in a command."""
    return identity.removeprefix("sha256:")[:_ID_LENGTH]
