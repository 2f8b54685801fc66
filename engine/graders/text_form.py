"""The form in which answers are compared: typography makes no difference, signs that carry meaning do.

Close to the evaluation script of SQuAD v1.1 (Rajpurkar et al., 2016): lower case, no punctuation, no articles, single
spaces.
Unlike there, the same text in another Unicode form is the same text, and signs that change the meaning stay: those
inside or before a number ("3.5", "-5", "10.1.1.2", "<5") and those after a name ("C++", "A-"). An "A" that is no
article stays as well. Only English articles are known.
"""

from __future__ import annotations

import re
import unicodedata

_QUOTES, _DASHES = "‘’‚‛′`´", "‐‑‒–—―−"
_SAME = str.maketrans(dict.fromkeys(_QUOTES, "'") | dict.fromkeys(_DASHES, "-"))
_ARTICLE = re.compile(r"(?<!\w)(?:an?|the|An|The|AN|THE)(?=\s+\S)|\AA(?=\s+[a-z])")
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:[,'\s]\d{3})+(?![\d,'])")
_SEPARATORS = re.compile(r"[,'\s]")
_COMPARING = frozenset("<>≤≥±~")
_AFTER_NAMES = frozenset("+#-")


def canonical(text: str) -> str:
    """Return a text in one Unicode form: compatibility characters, quotes, dashes and spaces as their plain ones."""
    plain = unicodedata.normalize("NFKC", text).translate(_SAME)
    visible = "".join(character for character in plain if unicodedata.category(character) != "Cf")
    return " ".join(unicodedata.normalize("NFC", visible).split())


def comparable(text: str) -> str:
    """Return the form in which answers are compared; it is empty only if the text is.

    If nothing but articles and punctuation would be left ("the", "+"), they stay, so that no answer is compared as
    empty text.
    """
    whole = canonical(text)
    grouped = _THOUSANDS.sub(lambda number: _SEPARATORS.sub("", number[0]), whole)
    words = _ARTICLE.sub(" ", grouped)
    kept = "".join(_kept(words, place) for place in range(len(words)))
    return " ".join(kept.casefold().split()) or whole.casefold()


def _kept(text: str, place: int) -> str:
    """Return the character at a place, or nothing if it is punctuation that says nothing."""
    character = text[place]
    if unicodedata.category(character)[0] not in "PS" or unicodedata.category(character) == "So":
        return character
    before, after = text[place - 1 : place], text[place + 1 : place + 2]
    if after.isdigit() and (before.isdigit() or (character in ".-" and not before.isalnum())):
        return character
    if character in _COMPARING and text[place + 1 :].lstrip()[:1].isdigit():
        return character
    ends = not after or after.isspace() or after in _AFTER_NAMES
    if character in _AFTER_NAMES and ends and (before.isalnum() or before in _AFTER_NAMES) and before:
        return character
    return ""
