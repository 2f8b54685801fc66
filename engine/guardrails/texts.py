"""How rules read text: its lines and words, and the excerpts that evidence may contain.

Words are compared without case, accents and invisible characters. In a script without spaces between words (Chinese,
Japanese, Thai …) each character is a word, so that a phrase is found inside a longer run.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import regex

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Evidence has this instead of a text that must not be stored.
MASK = "••••"
_LONGEST_EXCERPT = 100
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_WORD = regex.compile(rf"[{_UNSPACED}]|[[\w\p{{M}}\p{{Cf}}]--[{_UNSPACED}]]+", regex.VERSION1)


@dataclass(frozen=True, slots=True)
class Word:
    """One word in the form that is compared, and its line, counted from 1."""

    folded: str
    line: int


def words_of(text: str) -> list[Word]:
    """Return the words of a text in order."""
    return list(_words(text))


def folded_words(text: str) -> tuple[str, ...]:
    """Return the words of a text in the form that is compared."""
    return tuple(word.folded for word in _words(text))


def line_at(text: str, offset: int) -> int:
    """Return the line of an offset in a text, counted from 1."""
    return text.count("\n", 0, offset) + 1


def excerpt(text: str) -> str:
    """Return a text as evidence keeps it: on one line, and cut to a short length."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_EXCERPT else f"{line[: _LONGEST_EXCERPT - 1]}…"


def visible(text: str) -> str:
    """Return a text in its compatibility form without invisible characters; its line feeds stay."""
    return "".join(one for one in unicodedata.normalize("NFKC", text) if unicodedata.category(one) != "Cf")


def runs_of(phrase: Sequence[str], words: Sequence[Word]) -> Iterator[Word]:
    """Yield the first word of each occurrence of a phrase."""
    length = len(phrase)
    for start in range(len(words) - length + 1):
        if all(words[start + offset].folded == one for offset, one in enumerate(phrase)):
            yield words[start]


def _words(text: str) -> Iterator[Word]:
    line, counted_to = 1, 0
    for match in _WORD.finditer(text):
        line += text.count("\n", counted_to, match.start())
        counted_to = match.start()
        folded = _folded(match.group())
        if folded:
            yield Word(folded, line)


@cache
def _folded(word: str) -> str:
    decomposed = unicodedata.normalize("NFKD", word.casefold())
    kept = "".join(one for one in decomposed if unicodedata.category(one) not in {"Mn", "Me", "Cf"})
    return unicodedata.normalize("NFC", kept).casefold()
