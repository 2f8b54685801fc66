"""Streams whose encoding lacks a sign: a similar one is written instead, so that no command fails over its output."""

from __future__ import annotations

import codecs
import sys
from io import TextIOWrapper

_SIMILAR = str.maketrans({
    "→": "->", "–": "-", "—": "-", "−": "-", "…": "...", "•": "*", "·": "-", "✓": "+", "✗": "x", "◆": "*", "●": "*",
    "“": '"', "”": '"', "’": "'", "±": "+/-", "─": "-", "━": "-", "│": "|", "█": "#", "░": ".", "▾": "v", "⏎": "/",
})  # fmt: skip
_NAME = "seal-console-similar"


def show_what_can_be_shown() -> None:
    """Let stdout and stderr replace signs that their encoding does not have."""
    codecs.register_error(_NAME, _replaced)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=_NAME)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    similar = error.object[error.start : error.end].translate(_SIMILAR)
    return "".join(_or_question_mark(sign, error.encoding) for sign in similar), error.end


def _or_question_mark(sign: str, encoding: str) -> str:
    try:
        sign.encode(encoding)
    except UnicodeEncodeError:
        return "?"
    return sign
