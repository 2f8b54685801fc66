"""SQuAD v1.1's normalisation of answers: lower case, no punctuation, no articles, single spaces.

As in the official evaluation script (Rajpurkar et al., 2016). It knows English articles and ASCII punctuation only.
"""

from __future__ import annotations

import re
import string

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(text: str) -> str:
    """Return the text as SQuAD compares it; empty where nothing but articles and punctuation is in it."""
    bare = text.lower().translate(_NO_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def comparable(text: str) -> str:
    """Normalise, or where nothing would be left ("A", "+"), only lower the case and collapse spaces.

    So the gold answer "A" is not matched by "the", and no answer is compared as empty text.
    """
    return normalise(text) or " ".join(text.lower().split())


def tokens(text: str) -> list[str]:
    """Return the words of the comparable text."""
    return comparable(text).split()
