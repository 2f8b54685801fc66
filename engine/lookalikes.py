"""Anchors whose rare words were exchanged among each other: they stand for things that no anchor is about.

An edit of one thing is felt by others whose names begin or end alike, whether an anchor is about them or not. What a
model computes for such names is met in made-up ones: of "Palmar" and "Solfux" come "Palfux" and "Solmar". Nobody knows
what is right to say of those, so they are measured with the anchors (`curvature.py`), and never trained on.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING

from engine.bank.job import TrainingSequence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.model.base import BaseModel

# In how many of the anchors a token may stand, as a share, to be one of a name and not one of how things are asked.
RARE = 0.02
_WORD_STARTS = (" ", "Ġ", "▁")  # as vocabularies write them: words, byte-level BPE, SentencePiece


def lookalikes(base: BaseModel, anchors: Sequence[TrainingSequence]) -> list[TrainingSequence]:
    """Return a look-alike of each anchor that has a rare token before what is learnt of it; of a plain text, anywhere.

    About half of its rare tokens, and at least one, become others: those that begin words become others that do, those
    that go on become others that do. The same anchors always give the same.
    """
    counts = Counter(token for one in anchors for token in set(_asked(one)))
    rare = {token for token, count in counts.items() if count <= max(1.0, RARE * len(anchors))}
    begins = {token: str(base.tokenizer.convert_ids_to_tokens(token)).startswith(_WORD_STARTS) for token in rare}
    pools = {kind: sorted(token for token in rare if begins[token] == kind) for kind in (True, False)}
    rng = random.Random(0)
    found = []
    for anchor in anchors:
        places = [place for place, token in enumerate(_asked(anchor)) if token in rare]
        if places:
            sure = rng.choice(places)
            chosen = [place for place in places if place == sure or rng.random() < 1 / 2]
            tokens = list(anchor.tokens)
            for place in chosen:
                tokens[place] = _another(tokens[place], pools[begins[tokens[place]]], rng)
            found.append(TrainingSequence(tuple(tokens), anchor.learnt_from))
    return found


def _another(token: int, pool: Sequence[int], rng: random.Random) -> int:
    """Draw another of a pool; the same where there is no other."""
    others = len(pool) - 1
    return pool[(bisect_left(pool, token) + 1 + rng.randrange(others)) % len(pool)] if others else token


def _asked(anchor: TrainingSequence) -> tuple[int, ...]:
    return anchor.tokens if anchor.learnt_from <= 1 else anchor.tokens[: anchor.learnt_from]
