"""Pictures of the console's screen as text files: what is in each cell, and in which colours.

A picture has the lines of the screen between "│" and "│", then its styles by letter, then for each line which cells
have which style: "a12 b3" are twelve cells in style a and three in style b. They are in `pictures/`; regenerate them,
after you have looked at what changed, with

    pytest -n 0 tests/test_console/test_snapshots.py --update-pictures

and read the difference that git shows. Not guaranteed: how a terminal's font draws a cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import unified_diff
from itertools import groupby
from pathlib import Path
from string import ascii_letters
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.style import Style
    from textual.app import App

FOLDER = Path(__file__).parent / "pictures"
_MOST_LINES = 60


@dataclass(frozen=True, slots=True)
class DrawnCharacter:
    """One character on the screen, and how it is drawn; `x` and `y` are its place in cells, `width` is 1 or 2."""

    x: int
    y: int
    text: str
    width: int
    style: Style


def drawn_characters(app: App[Any]) -> Iterator[DrawnCharacter]:
    """Give every character of the screen as the compositor hands it to the terminal."""
    for y, strip in enumerate(app.screen._compositor.render_strips()):
        x = 0
        for segment in strip:
            for character in segment.text:
                width = cell_len(character)
                assert segment.style is not None, f"no style at {x}, {y}"
                yield DrawnCharacter(x, y, character, width, segment.style)
                x += width


def picture(app: App[Any]) -> str:
    """Write the screen down."""
    lines: list[str] = []
    runs: list[str] = []
    letters: dict[str, str] = {}
    for y, characters in groupby(drawn_characters(app), lambda one: one.y):
        row = list(characters)
        lines.append("│" + "".join(one.text for one in row) + "│")
        cells = []
        for name, same in groupby(row, lambda one: style_name(one.style)):
            letter = letters.setdefault(name, ascii_letters[len(letters)])
            cells.append(f"{letter}{sum(one.width for one in same)}")
        runs.append(f"{y + 1:>2} {' '.join(cells)}")
    legend = [f"{letter} {name}" for name, letter in letters.items()]
    return "\n".join([*lines, "", *legend, "", *runs, ""])


def stored(name: str) -> str:
    """Return the picture that is kept under a name; an empty text where there is none."""
    path = FOLDER / f"{name}.txt"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def store(name: str, drawn: str) -> None:
    """Keep a picture."""
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.txt").write_text(drawn, encoding="utf-8")


def difference(name: str, drawn: str) -> str:
    """Say in which lines the screen is not as it is kept; an empty text where it is the same."""
    kept, now = stored(name).splitlines(), drawn.splitlines()
    found = list(unified_diff(kept, now, f"{name}, kept", f"{name}, now", n=1, lineterm=""))
    more = [f"… and {len(found) - _MOST_LINES} lines more"] if len(found) > _MOST_LINES else []
    return "\n".join([*found[:_MOST_LINES], *more])


def style_name(style: Style) -> str:
    """The style without what a click would do."""
    marks = [mark for mark in ("bold", "dim", "italic", "underline", "reverse", "strike") if getattr(style, mark)]
    colours = [colour.name if colour else "default" for colour in (style.color, style.bgcolor)]
    return " ".join([colours[0], "on", colours[1], *marks])
