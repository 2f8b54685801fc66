"""Anchors whose rare words were exchanged among each other: they stand for things that no anchor is about.

An edit about one thing affects others whose names begin or end alike, whether an anchor is about them or not. What a
model computes for such names shows in made-up ones: "Palmar" and "Solfux" become "Palfux" and "Solmar". No correct
answer exists for those, so they are measured with the anchors (`curvature.py`) and trained only on what the base itself
would say (`distillation.py`).
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from engine.bank.job import TrainingSequence

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from transformers import PreTrainedTokenizerBase

    from engine.model.base import BaseModel

# The largest share of anchors that a token may occur in to count as part of a name, not of how things are asked.
RARE = 0.02
_WORD_STARTS = (" ", "Ġ", "▁")  # as vocabularies write them: words, byte-level BPE, SentencePiece
_PART_OF_A_CHARACTER = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True)
class PerturbedAnchor:
    """A made-up anchor; `asked` are its tokens up to where a name has its effect, `named` the made-up words in it.

    The effect is where the answer begins or, in a plain text, after the last made-up word. `parts` are the tokens of
    the made-up words as texts: any text that contains one is spelled like it.
    """

    sequence: TrainingSequence
    asked: tuple[int, ...]
    named: tuple[str, ...]
    parts: tuple[str, ...]


def perturb_anchors(base: BaseModel, anchors: Sequence[TrainingSequence]) -> list[PerturbedAnchor]:
    """Return a perturbed form of each anchor that has a rare token before its loss starts; in a plain text, anywhere.

    About half of its rare tokens, and at least one, are replaced: those that begin words by others that do, those that
    continue words by others that do. The same anchors always give the same result.
    """
    counts = Counter(token for one in anchors for token in set(_before_answer(one)))
    rare = {token for token, count in counts.items() if count <= max(1.0, RARE * len(anchors))}
    spelling = _Spelling(base.tokenizer)
    pools = {kind: sorted(token for token in rare if spelling.begins(token) == kind) for kind in (True, False)}
    rng = random.Random(0)
    found = []
    for anchor in anchors:
        places = [place for place, token in enumerate(_before_answer(anchor)) if token in rare]
        if places:
            sure = rng.choice(places)
            chosen = [place for place in places if place == sure or rng.random() < 1 / 2]
            tokens = list(anchor.tokens)
            for place in chosen:
                tokens[place] = _another(tokens[place], pools[spelling.begins(tokens[place])], rng)
            found.append(_lookalike(TrainingSequence(tuple(tokens), anchor.loss_start), chosen, spelling))
    return found


def _lookalike(sequence: TrainingSequence, chosen: Sequence[int], spelling: _Spelling) -> PerturbedAnchor:
    words = sorted({spelling.word_around(place, sequence.tokens) for place in chosen})
    named = (spelling.text(sequence.tokens[first:last]) for first, last in words)
    parts = {spelling.text([token]) for first, last in words for token in sequence.tokens[first:last]}
    end = sequence.loss_start if sequence.loss_start > 1 else min(words[-1][1], sequence.input_length)
    return PerturbedAnchor(sequence, sequence.tokens[:end], _of_words(named), _of_words(sorted(parts)))


def _of_words(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(text for text in texts if any(map(str.isalnum, text)))


class _Spelling:
    """How a vocabulary spells words: which tokens begin one, and which continue it."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self.begins = cache(self._begins)
        self._is_of_words = cache(self._holds_letters)

    def text(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens, stripped and without special tokens."""
        return str(self._tokenizer.decode(list(tokens), skip_special_tokens=True)).strip()

    def word_around(self, place: int, tokens: Sequence[int]) -> tuple[int, int]:
        """Return where the word around a place begins and ends; punctuation next to it does not belong to it."""
        first, last = place, place + 1
        while first > 0 and not self.begins(tokens[first]) and self._is_of_words(tokens[first - 1]):
            first -= 1
        while last < len(tokens) and not self.begins(tokens[last]) and self._is_of_words(tokens[last]):
            last += 1
        return first, last

    def _begins(self, token: int) -> bool:
        return str(self._tokenizer.convert_ids_to_tokens(token)).startswith(_WORD_STARTS)

    def _holds_letters(self, token: int) -> bool:
        """Return whether a token contains a letter, a digit, or part of a character."""
        return any(sign.isalnum() or sign == _PART_OF_A_CHARACTER for sign in self.text([token]))


def _another(token: int, pool: Sequence[int], rng: random.Random) -> int:
    """Draw another element of a pool; the same one if there is no other."""
    others = len(pool) - 1
    return pool[(bisect_left(pool, token) + 1 + rng.randrange(others)) % len(pool)] if others else token


def _before_answer(anchor: TrainingSequence) -> tuple[int, ...]:
    return anchor.tokens if anchor.loss_start <= 1 else anchor.tokens[: anchor.loss_start]
