"""Text from models, documents, data and git as Textual content: never markup, never a control character.

Everything that a widget of this console shows and that this program did not write itself passes through here.
"""

from __future__ import annotations

from textual.content import Content

from store.sanitize import sanitize, sanitize_line

Piece = str | tuple[str, str] | Content


def safe(text: str, style: str = "") -> Content:
    """Return text of any origin as content; lines stay lines."""
    return Content.styled(sanitize(text), style) if style else Content(sanitize(text))


def safe_line(text: str, style: str = "", limit: int | None = None) -> Content:
    """Return text of any origin as content on one line, cut with "…" where a limit in characters is given."""
    line = sanitize_line(text, limit)
    return Content.styled(line, style) if style else Content(line)


def joined(*pieces: Piece) -> Content:
    """Put pieces together: strings and (string, style) pairs are made safe on the way."""
    parts = [
        piece if isinstance(piece, Content) else safe(piece) if isinstance(piece, str) else safe(*piece)
        for piece in pieces
    ]
    return Content("").join(parts)


def lines(*rows: Content | str) -> Content:
    """Put rows under each other."""
    return Content("\n").join([row if isinstance(row, Content) else safe(row) for row in rows])
