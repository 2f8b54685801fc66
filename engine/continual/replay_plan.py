"""What is mixed into each step of an inner update, so that it forgets little.

Sequences of earlier accepted edits, anchor texts of `retention/` and perturbed anchors (`distillation.py`) are replayed
in each step, and the adapter is trained under a preconditioner that follows what the base knows about the anchors
(`bank/preconditioner.py`). If nothing was accepted and there are no anchors, updates are the plain ones. Nothing here
promises that an update forgets little: the retention gates check that. docs/experiments.md measures the constants.
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
# Under the preconditioner a step moves less wherever the model knows much. Later edits need that. A fresh LoRA begins
# with B = 0, where A has no gradient, so the first edit of a lineage would learn too little without a higher rate.
FRESH_RATE = 2.5
TRIM_BELOW = 0.2  # about 14 % of the changes
# An adapter grows with every edit, and with it what it costs the base's knowledge. So each update decays both factors
# by this share, step by step, while the replay mix relearns what is still needed.
DECAY = 0.025
# The more edits a lineage has, the more there is to lose, and the faster an adapter learns the next one. So the weight
# of replayed edits doubles after this many edits, and that of anchors and perturbed anchors after that many.
EDITS_TO_DOUBLE_REPLAY, EDITS_TO_DOUBLE_ANCHORS = 16, 32
# For the same reason a short lineage needs little replay: the first edit gets this share of the configured ratios, and
# the share grows to 1 after this many edits.
FIRST_REPLAY_SHARE, FIRST_ANCHOR_SHARE, EDITS_TO_FULL_RATIO = 1 / 3, 1 / 2, 25
# Edits that many updates have replayed are retained better than those that few have. So the newest edits make up at
# least this share of what is replayed.
NEWEST, NEWEST_SHARE = 8, 0.4
# An update affects names most that are spelled like those in it: such perturbed anchors get this share of their group.
SPELLED_ALIKE_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class ReplayRates:
    """Sequences of each kind per step (0.5: one every other step), and the weights of their mean losses.

    These are the rates of a long lineage; a short one replays a share of them. The weight of earlier edits is fixed:
    the same as the update's own.
    """

    replayed: float = 0.0
    anchors: float = 0.0
    perturbed_anchors: float = 0.0
    anchor_weight: float = 1.0
    perturbed_weight: float = 1.0


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """The sequences that updates replay, and the preconditioner that they train under (None: none).

    `newest` are sequences of the NEWEST newest edits, `replayed` those of all earlier ones. `edits` counts the edits
    that the update builds on. `described` is what the record of an inner update says; empty if nothing is replayed.
    """

    replayed: tuple[TrainingSequence, ...] = ()
    newest: tuple[TrainingSequence, ...] = ()
    anchors: tuple[TrainingSequence, ...] = ()
    perturbed_anchors: tuple[DistilledExample, ...] = ()
    preconditioner: KroneckerPreconditioner | None = None
    edits: int = 0
    described: dict[str, Any] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """The factor on the learning rate; the first update of a lineage starts from a fresh adapter."""
        return 1.0 if self.edits or self.preconditioner is None else FRESH_RATE

    def recipe(self, recipe: Recipe, sequences: int) -> Recipe:
        """Return the recipe as it is under this plan, for an update on that many sequences."""
        if self.preconditioner is None:
            return recipe
        faster = replace(recipe, learning_rate=recipe.learning_rate * self.rate, trim_below=TRIM_BELOW)
        steps = steps_of(faster, sequences)
        moved = sum(rate_at(step, steps, faster) for step in range(steps))
        return replace(faster, weight_decay=recipe.weight_decay + DECAY / moved if moved else recipe.weight_decay)

    def replay_groups(self, rates: ReplayRates, own: Sequence[str]) -> tuple[ReplayGroup, ...]:
        """Return what is replayed in each step of an update on the texts `own`, one group for each kind there is."""
        heavier = 1.0 + self.edits / EDITS_TO_DOUBLE_ANCHORS
        anchor_share = self._share(FIRST_ANCHOR_SHARE)
        perturbed = self._perturbed(own) if rates.perturbed_anchors else ()
        replayed = interleave_oversampled(self.newest, self.replayed, NEWEST_SHARE)
        replay_weight = 1.0 + self.edits / EDITS_TO_DOUBLE_REPLAY
        groups = (
            (replayed, rates.replayed * self._share(FIRST_REPLAY_SHARE), replay_weight),
            (self.anchors, rates.anchors * anchor_share, rates.anchor_weight * heavier),
            (perturbed, rates.perturbed_anchors * anchor_share, rates.perturbed_weight * heavier),
        )
        return tuple(
            ReplayGroup(sequences, per_step, weight, first=self._first(sequences))
            for sequences, per_step, weight in groups
            if sequences and per_step
        )

    def _share(self, of_first_edit: float) -> float:
        """Return the share of the configured rates that an update of this lineage replays."""
        return of_first_edit + (1.0 - of_first_edit) * min(1.0, self.edits / EDITS_TO_FULL_RATIO)

    def _perturbed(self, own: Sequence[str]) -> tuple[TrainingSequence, ...]:
        """Return perturbed anchors that mention nothing the update is about, oversampling those spelled like it."""
        text = "\n".join(own)
        usable = naming_none_of(self.perturbed_anchors, own)
        alike = [one.is_spelled_like(text) for one in usable]
        sequences = [one.sequence for one in usable]
        return interleave_oversampled(
            [*compress(sequences, alike)], [*compress(sequences, map(not_, alike))], SPELLED_ALIKE_SHARE
        )

    def _first(self, sequences: Sequence[TrainingSequence]) -> int:
        """Return where this edit begins its turns: far from where the edits before it began.

        Multiples of the golden ratio spread best over a circle, whatever their number, so what one update had no room
        for is replayed by the next.
        """
        return int(len(sequences) * (self.edits * GOLDEN % 1.0))


def replay_rates(settings: ProtectionSettings, batch_size: int) -> ReplayRates:
    """Return the rates for steps of that many sequences."""
    return ReplayRates(
        replayed=settings.replay_ratio * batch_size,
        anchors=settings.anchor_ratio * batch_size,
        perturbed_anchors=settings.perturbed_ratio * batch_size,
        anchor_weight=settings.anchor_weight,
        perturbed_weight=settings.perturbed_weight,
    )


def naming_none_of(examples: Sequence[DistilledExample], texts: Sequence[str]) -> list[DistilledExample]:
    """Return the examples whose names none of the texts mention: if one does, the base's answer may be wrong."""
    joined = "\n".join(texts)
    return [one for one in examples if not one.is_named_in(joined)]


def interleave_oversampled(
    some: Sequence[TrainingSequence], others: Sequence[TrainingSequence], min_share: float
) -> tuple[TrainingSequence, ...]:
    """Mix all `others`, each once, with `some`, repeated until they make up at least `min_share` of the mix."""
    if not some or not others:
        return (*some, *others)
    share = max(min_share, len(some) / (len(some) + len(others)))
    mixed: list[TrainingSequence] = []
    of_some, of_others = 0, 0
    while len(mixed) < round(len(others) / (1.0 - share)):
        if of_others == len(others) or of_some < math.floor((len(mixed) + 1) * share + _ROUNDING):
            mixed.append(some[of_some % len(some)])
            of_some += 1
        else:
            mixed.append(others[of_others])
            of_others += 1
    return tuple(mixed)
