"""Measures of texts in words: how many different n-grams, how alike two texts are, how much is copied. Pure.

Words are runs of letters and digits, in lower case; a text in a script without spaces is one long word to it.
"""

from __future__ import annotations

import re
from itertools import combinations
from statistics import mean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_WORD = re.compile(r"\w+")
PAIR, COPIED = 2, 4  # words of an n-gram: for diversity and likeness; for what counts as copied


def words(text: str) -> list[str]:
    """Return the words of a text in their order."""
    return _WORD.findall(text.lower())


def distinct_share(texts: Sequence[str]) -> float | None:
    """Return how many word pairs of all texts together are different (Li et al. 2016, "distinct-2"), 0 … 1.

    None where no text has a pair. One text over and over goes towards 0, also where each copy is rich in itself.
    """
    found = [pair for text in texts for pair in _ngrams(text, PAIR)]
    return len(set(found)) / len(found) if found else None


def likeness(first: str, second: str) -> float:
    """Return the share of word pairs that two texts have in common (Jaccard), 0 … 1; 1 for equal words."""
    if words(first) == words(second):
        return 1.0
    one, other = set(_ngrams(first, PAIR)), set(_ngrams(second, PAIR))
    return len(one & other) / len(one | other) if one | other else 0.0


def mean_likeness(texts: Sequence[str]) -> float | None:
    """Return the mean likeness over all pairs of texts; None where there is no pair."""
    pairs = list(combinations(texts, 2))
    return mean(likeness(one, other) for one, other in pairs) if pairs else None


def copied_share(text: str, prompt: str) -> float | None:
    """Return the share of a text's runs of four words that stand in its prompt too, 0 … 1; None for a shorter text."""
    runs = _ngrams(text, COPIED)
    there = set(_ngrams(prompt, COPIED))
    return sum(run in there for run in runs) / len(runs) if runs else None


def _ngrams(text: str, size: int) -> list[tuple[str, ...]]:
    found = words(text)
    return [tuple(found[at : at + size]) for at in range(len(found) - size + 1)]
