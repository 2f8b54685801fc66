"""Sanitizes text from models, documents, data and git for a terminal: the one boundary that all of it passes.

Neither Rich nor Textual removes control characters from what it prints, so an answer could otherwise move the cursor,
set the clipboard or reverse the direction of a line. Not guaranteed: that text is true, or that look-alike letters are
distinguished.
"""

from __future__ import annotations

import json
import re
from typing import Any

_C0_END, _DELETE, _C1_END = 0x20, 0x7F, 0xA0
_SYMBOLS_START, _DELETE_SYMBOL, _NEW_LINE_SYMBOL, _TAB_SYMBOL = 0x2400, "␡", "⏎", "→"
_ELLIPSIS = "…"

# Direction marks and overrides, line separators, invisible operators, annotations, tags, and halves of surrogate pairs.
_UNSEEN = (
    "\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f"
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff"
)
_DANGEROUS = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_UNSEEN}]")
_DANGEROUS_IN_JSON = re.compile(f"[\x7f-\x9f{_UNSEEN}]")


def sanitize(text: str) -> str:
    """Return `text` with every control and direction character but newline and tab shown as a visible sign."""
    return _DANGEROUS.sub(lambda match: _visible(match[0]), text)


def sanitize_line(text: str, limit: int | None = None) -> str:
    """Return `text` on a single line, cut with "…" if it is longer than `limit` characters."""
    line = sanitize(text).replace("\n", _NEW_LINE_SYMBOL).replace("\t", _TAB_SYMBOL)
    return line if limit is None or len(line) <= limit else line[: limit - 1] + _ELLIPSIS


def json_line(value: Any, *, ascii_only: bool = False) -> str:
    """Write `value` as one line of JSON that is safe on a terminal and parses to exactly the same value."""
    line = json.dumps(value, ensure_ascii=ascii_only)
    return _DANGEROUS_IN_JSON.sub(lambda match: json.dumps(match[0])[1:-1] if match[0] != "\x7f" else "\\u007f", line)


def _visible(character: str) -> str:
    code = ord(character)
    if code < _C0_END:
        return chr(_SYMBOLS_START + code)
    return _DELETE_SYMBOL if code == _DELETE else f"⟨U+{code:04X}⟩"
