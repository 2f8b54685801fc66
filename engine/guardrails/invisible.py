"""Finds characters that show nothing or reverse the order of a text, so that a person who reads it does not see them.

Characters that belong to a script or an emoji are not reported: joiners inside Arabic and Indic words and between
emoji, direction marks next to right-to-left letters, the tags of a flag.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

import regex

if TYPE_CHECKING:
    from collections.abc import Iterator

_TAGS = r"\U000E0000-\U000E007F"
_HIDDEN = regex.compile(
    rf"[{_TAGS}]+"
    r"|[\p{Cf}\u00AD\u115F\u1160\u3164\uFFA0\u2800\u180B-\u180F\U000E0100-\U000E01EF]"
    r"|[\uFE00-\uFE0F]{2,}"
    r"|[\x00-\x08\x0B\x0C\x0E-\x1F\x7F-\x9F]"
)
# Tags spell ASCII text, moved to the block of tags.
_TAG_BLOCK, _PRINTABLE = 0xE0000, range(0x20, 0x7F)
_FLAG_WITH_TAGS = regex.compile(rf"\U0001F3F4[{_TAGS}]{{1,8}}")
_JOINERS, _DIRECTION_MARKS = "\u200c\u200d", "\u200e\u200f\u061c"
_JOINING = regex.compile(
    r"[\p{Arabic}\p{Syriac}\p{Mongolian}\p{Devanagari}\p{Bengali}\p{Gujarati}\p{Gurmukhi}\p{Oriya}\p{Tamil}\p{Telugu}"
    r"\p{Kannada}\p{Malayalam}\p{Sinhala}\p{Khmer}\p{Myanmar}]"
)
_PICTURE = regex.compile(r"[\p{Extended_Pictographic}\p{Emoji_Modifier}\uFE0F]")
_RIGHT_TO_LEFT = {"R", "AL", "AN"}


@dataclass(frozen=True, slots=True)
class InvisibleText:
    """Invisible characters in a text, with their name; `says` is the message that tags spell."""

    start: int
    text: str
    name: str
    says: str = ""


def hidden_in(text: str) -> Iterator[InvisibleText]:
    """Yield the invisible characters of a text that do not belong there."""
    flags = [found.span() for found in _FLAG_WITH_TAGS.finditer(text)]
    for found in _HIDDEN.finditer(text):
        start, hidden = found.start(), found.group()
        if any(begin <= start < end for begin, end in flags) or _belongs(text, start, hidden):
            continue
        spelt = "".join(chr(ord(one) - _TAG_BLOCK) for one in hidden if ord(one) - _TAG_BLOCK in _PRINTABLE)
        yield InvisibleText(start, hidden, _name(hidden[0]), spelt)


def _belongs(text: str, start: int, hidden: str) -> bool:
    before, after = text[start - 1 : start], text[start + 1 : start + 2]
    if hidden in _JOINERS:
        joins = all(_JOINING.fullmatch(one) for one in (before, after) if one)
        return bool(before) and (joins or bool(_PICTURE.fullmatch(before) and _PICTURE.fullmatch(after)))
    if hidden in _DIRECTION_MARKS:
        return any(one and unicodedata.bidirectional(one) in _RIGHT_TO_LEFT for one in (before, after))
    # Programs leave behind a byte-order mark at the very beginning, and soft hyphens inside words.
    if hidden == "\ufeff":
        return start == 0
    return hidden == "\u00ad" and before.isalpha() and after.isalpha()


def _name(character: str) -> str:
    code = f"U+{ord(character):04X}"
    return f"{code} {unicodedata.name(character, 'control character').lower()}"
