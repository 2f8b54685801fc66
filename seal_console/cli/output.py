"""Where a command's words go: data to stdout, narration to stderr; JSON objects in place of tables where asked for."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from seal_console.format import show_text
from store.sanitize import json_line

if TYPE_CHECKING:
    from typing import TextIO

    from rich.console import RenderableType

_WIDTH_WITHOUT_TERMINAL = 160


@dataclass(frozen=True)
class Output:
    """Both streams of a command. Plain strings are made harmless; nothing is read as markup."""

    as_json: bool
    out: Console
    err: Console

    @classmethod
    def to_terminal(cls, *, as_json: bool) -> Output:
        """Write to this process's stdout and stderr."""
        return cls(as_json, _console(sys.stdout), _console(sys.stderr))

    def data(self, value: Any) -> None:
        """Write one JSON object on stdout."""
        ascii_only = (sys.stdout.encoding or "ascii").lower().replace("-", "") != "utf8"
        self.out.file.write(json_line(value, ascii_only=ascii_only) + "\n")
        self.out.file.flush()

    def show(self, *parts: RenderableType) -> None:
        """Show text, tables and the like on stdout; not to be called for JSON output."""
        for part in parts:
            self.out.print(show_text(part) if isinstance(part, str) else part, soft_wrap=isinstance(part, (str, Text)))

    def say(self, sentence: str, style: str = "") -> None:
        """Say what was done: on stdout, or on stderr where stdout is for JSON."""
        (self.err if self.as_json else self.out).print(show_text(sentence, style), soft_wrap=True)

    def narrate(self, sentence: str, style: str = "") -> None:
        """Say something beside the matter, on stderr."""
        self.err.print(show_text(sentence, style), soft_wrap=True)


def _console(stream: TextIO) -> Console:
    width = None if stream.isatty() or os.environ.get("COLUMNS") else _WIDTH_WITHOUT_TERMINAL
    return Console(file=stream, markup=False, highlight=False, emoji=False, width=width)
