"""What stands beside an inner update, so that little else is forgotten.

Sequences of earlier accepted edits, anchor texts of `retention/` and look-alikes of those (`distilling.py`) are trained
beside each step, and the adapter is trained in the coordinates of what the base knows of the anchors
(`bank/coordinates.py`). Where nothing was accepted and there are no anchors, updates are what they would be without.
Nothing here says that an update forgets little: the retention gates do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from itertools import compress
from operator import not_
from typing import TYPE_CHECKING, Any

from engine.bank.job import ReplayGroup, rate_at, steps_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.bank.job import Recipe, TrainingSequence
    from engine.bank.preconditioner import KroneckerPreconditioner
    from engine.continual.distillation import DistilledExample
    from engine.settings.sections import ProtectionSettings

_ROUNDING = 1e-9
GOLDEN = (math.sqrt(5) - 1) / 2
# In these coordinates a step does less: nothing moves far where the model knows much. That is what later edits want. A
# fresh LoRA begins with B = 0, where A has no gradient, and learns too little so, as the first of a line.
FRESH_RATE = 2.5
TRIMMED = 0.2  # about 14 % of the changes
# An adapter grows with every edit, and with it what it costs the base's knowledge. So each update gives back this share
# of both its factors, step by step, while what is trained beside it learns again what is still wanted.
DECAYED = 0.025
# The more edits there are, the more there is to lose, and the sooner an adapter that has learnt many learns another: so
# what stands beside it weighs more. After so many edits the weight of earlier ones has doubled, and that of anchors and
# of their look-alikes.
EDITS_TO_DOUBLE_REPLAY, EDITS_TO_DOUBLE_ANCHORS = 16, 32
# For the same reason few companions will do on a short line: beside its first edits stands so large a share of what is
# set, and all of it after so many edits.
LEAST_REPLAYED, LEAST_ANCHORED, EDITS_TO_ALL = 1 / 3, 1 / 2, 25
# An edit that many updates have replayed is held more firmly than one that few have: so the newest edits have at least
# this share of what is replayed.
NEWEST, NEWEST_SHARE = 8, 0.4
# An update is felt most by names that are spelled like those in it: such look-alikes have this share of their kind.
SPELLED_ALIKE_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class ReplayRates:
    """How many sequences of each kind stand beside a step (0.5: one every other step), and what their mean loss counts.

    While a line has few edits, a share of these numbers stands there. What earlier edits count is not a choice: as much
    as the update's own.
    """

    replayed: float = 0.0
    anchors: float = 0.0
    lookalikes: float = 0.0
    anchor_weight: float = 1.0
    lookalike_weight: float = 1.0


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """Sequences that updates draw companions from, and the coordinates that they are trained in (None: plain ones).

    `newest` are those of the NEWEST newest edits, `replayed` those of all before. `edits` counts the edits that updates
    build on. `described` is what the records of an inner update say about it; empty where nothing is protected.
    """

    replayed: tuple[TrainingSequence, ...] = ()
    newest: tuple[TrainingSequence, ...] = ()
    anchors: tuple[TrainingSequence, ...] = ()
    lookalikes: tuple[DistilledExample, ...] = ()
    coordinates: KroneckerPreconditioner | None = None
    edits: int = 0
    described: dict[str, Any] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """What the learning rate is multiplied by; the first update starts from a fresh adapter."""
        return 1.0 if self.edits or self.coordinates is None else FRESH_RATE

    def recipe(self, recipe: Recipe, sequences: int) -> Recipe:
        """Return a recipe as it is under this protection, for an update on so many sequences."""
        if self.coordinates is None:
            return recipe
        faster = replace(recipe, learning_rate=recipe.learning_rate * self.rate, trimmed=TRIMMED)
        steps = steps_of(faster, sequences)
        moved = sum(rate_at(step, steps, faster) for step in range(steps))
        return replace(faster, weight_decay=recipe.weight_decay + DECAYED / moved if moved else recipe.weight_decay)

    def companions(self, beside: ReplayRates, own: Sequence[str]) -> tuple[ReplayGroup, ...]:
        """Return what is trained beside each step of an update on these texts, of each kind where there is any."""
        heavier = 1.0 + self.edits / EDITS_TO_DOUBLE_ANCHORS
        replayed, anchored = beside.replayed * self._share(LEAST_REPLAYED), self._share(LEAST_ANCHORED)
        made_up = self._made_up(own) if beside.lookalikes else ()
        groups = (
            (self._replayed(), replayed, 1.0 + self.edits / EDITS_TO_DOUBLE_REPLAY),
            (self.anchors, beside.anchors * anchored, beside.anchor_weight * heavier),
            (made_up, beside.lookalikes * anchored, beside.lookalike_weight * heavier),
        )
        return tuple(
            ReplayGroup(sequences, each_step, weight, first=self._first(sequences))
            for sequences, each_step, weight in groups
            if sequences and each_step
        )

    def _share(self, least: float) -> float:
        """Of the companions that are set, how large a share stands beside a step on a line of so many edits."""
        return least + (1.0 - least) * min(1.0, self.edits / EDITS_TO_ALL)

    def _replayed(self) -> tuple[TrainingSequence, ...]:
        return interleave_oversampled(self.newest, self.replayed, NEWEST_SHARE)

    def _made_up(self, own: Sequence[str]) -> tuple[TrainingSequence, ...]:
        """Look-alikes that say nothing of what an update is about, those that are spelled like it more often."""
        text = "\n".join(own)
        found = naming_none_of(self.lookalikes, own)
        alike = [one.is_spelled_like(text) for one in found]
        sequences = [one.sequence for one in found]
        return interleave_oversampled(
            [*compress(sequences, alike)], [*compress(sequences, map(not_, alike))], SPELLED_ALIKE_SHARE
        )

    def _first(self, sequences: Sequence[TrainingSequence]) -> int:
        """Where the turns of this edit begin: far from where those of the edits before it did.

        Multiples of the golden ratio spread best over a circle, however many there are, so what one update had no room
        for comes up beside the next.
        """
        return int(len(sequences) * (self.edits * GOLDEN % 1.0))


def replay_rates(settings: ProtectionSettings, batch_size: int) -> ReplayRates:
    """Return what stands beside a step of so many sequences."""
    return ReplayRates(
        replayed=settings.replay_ratio * batch_size,
        anchors=settings.anchor_ratio * batch_size,
        lookalikes=settings.perturbed_ratio * batch_size,
        anchor_weight=settings.anchor_weight,
        lookalike_weight=settings.perturbed_weight,
    )


def naming_none_of(found: Sequence[DistilledExample], texts: Sequence[str]) -> list[DistilledExample]:
    """Return the look-alikes that these texts say nothing of: what the base says of a name is wrong where they do."""
    every = "\n".join(texts)
    return [one for one in found if not one.is_named_in(every)]


def interleave_oversampled(
    some: Sequence[TrainingSequence], others: Sequence[TrainingSequence], at_least: float
) -> tuple[TrainingSequence, ...]:
    """Mix a deck of all others, once, and of some, over and over until they are at least this share of the deck."""
    if not some or not others:
        return (*some, *others)
    share = max(at_least, len(some) / (len(some) + len(others)))
    deck: list[TrainingSequence] = []
    of_some, of_others = 0, 0
    while len(deck) < round(len(others) / (1.0 - share)):
        if of_others == len(others) or of_some < math.floor((len(deck) + 1) * share + _ROUNDING):
            deck.append(some[of_some % len(some)])
            of_some += 1
        else:
            deck.append(others[of_others])
            of_others += 1
    return tuple(deck)
