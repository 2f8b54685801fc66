"""Ways to make one inner update after another: the paper's, ours, and steps between them, each with what it adds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from engine.bank.job import Recipe
from engine.continual.replay_plan import ReplayRates
from store.errors import WrongUseError

if TYPE_CHECKING:
    from collections.abc import Sequence

PAPER = Recipe(epochs=10, learning_rate=2e-3, batch_size=1)


@dataclass(frozen=True, slots=True)
class ForgettingMethod:
    """How each inner update of a line is made.

    `beside` is what is trained beside every step, of earlier edits all but their passages; with `curvature` the adapter
    is trained in the coordinates of what the base knows; with `answers_only` a question's own words are not learnt,
    only what follows "Answer:".
    """

    name: str
    about: str
    recipe: Recipe = PAPER
    beside: ReplayRates = field(default_factory=ReplayRates)
    curvature: bool = False
    answers_only: bool = False


_NAIVE = ForgettingMethod("naive", "sequential, as the paper: each edit trained on the last adapter")
_REPLAY = replace(_NAIVE, name="replay", about="one earlier sequence beside each step", beside=ReplayRates(replayed=1))
_ANCHORS = replace(
    _REPLAY,
    name="anchors",
    about="and one anchor text beside each step, which counts twice",
    beside=ReplayRates(replayed=1, anchors=1, anchor_weight=2.0),
)
_CURVATURE = replace(
    _ANCHORS,
    name="curvature",
    about="and trained in the coordinates of what the base knows",
    curvature=True,
)
_LOOKALIKES = replace(
    _CURVATURE,
    name="lookalikes",
    about="and a look-alike with what the base says of it, which like the anchor stands beside every other step, and"
    " half an earlier sequence more: as workspaces do by default",
    beside=ReplayRates(replayed=1.5, anchors=0.5, perturbed_anchors=0.5, anchor_weight=2.0, perturbed_weight=0.1),
)
_OURS = replace(
    _LOOKALIKES,
    name="ours",
    # For twice the batch the rate of Adam grows by the root of two (Malladi et al. 2022, arXiv 2205.10287). It stays
    # what it is, half of what a falling one begins with: what large steps at first disturb, small ones do not mend.
    about="two sequences a step at √2 times the mean rate, which stays the same all along; beside them 3¾ earlier ones,"
    " an anchor and a look-alike",
    recipe=replace(PAPER, batch_size=2, learning_rate=PAPER.learning_rate / math.sqrt(2), schedule="constant"),
    beside=ReplayRates(replayed=3.75, anchors=1, perturbed_anchors=1, anchor_weight=2.0, perturbed_weight=0.1),
)
_ONLY_CURVATURE = replace(_NAIVE, name="only-curvature", about="naive in those coordinates", curvature=True)
_WITHOUT = replace(_OURS, name="without-curvature", about="ours in ordinary coordinates", curvature=False)
_WITHOUT_LOOKALIKES = replace(
    _OURS, name="without-lookalikes", about="ours without them", beside=replace(_OURS.beside, perturbed_anchors=0)
)
_ANSWERS = replace(_OURS, name="answers-only", about="ours, learning answers only of the edits", answers_only=True)
_STEPS_TO_OURS = (_NAIVE, _REPLAY, _ANCHORS, _CURVATURE, _LOOKALIKES, _OURS)
_OURS_BUT = (_ONLY_CURVATURE, _WITHOUT, _WITHOUT_LOOKALIKES, _ANSWERS)
WAYS: dict[str, ForgettingMethod] = {way.name: way for way in (*_STEPS_TO_OURS, *_OURS_BUT)}


def methods_named(names: Sequence[str]) -> list[ForgettingMethod]:
    """Return these ways in this order. Raises WrongUseError for a name that is none."""
    unknown = [name for name in names if name not in WAYS]
    if unknown:
        raise WrongUseError(f"There is no way {unknown[0]!r}.", next_step=f"Choose among {', '.join(WAYS)}.")
    return [WAYS[name] for name in names]
