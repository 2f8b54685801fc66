"""Methods for one inner update after another: the paper's, ours, and steps between them, each with what it adds."""

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
    """How each inner update of a lineage is made.

    `rates` are the rates of replay per step, which replays everything of earlier edits except their passages; with
    `curvature` the adapter is trained under the preconditioner; with `answers_only` the loss of a question covers only
    what follows "Answer:".
    """

    name: str
    about: str
    recipe: Recipe = PAPER
    rates: ReplayRates = field(default_factory=ReplayRates)
    curvature: bool = False
    answers_only: bool = False


_NAIVE = ForgettingMethod("naive", "sequential, as in the paper: each edit is trained from the last adapter")
_REPLAY = replace(_NAIVE, name="replay", about="plus one earlier sequence in each step", rates=ReplayRates(replayed=1))
_ANCHORS = replace(
    _REPLAY,
    name="anchors",
    about="plus one anchor text in each step, with weight 2",
    rates=ReplayRates(replayed=1, anchors=1, anchor_weight=2.0),
)
_CURVATURE = replace(
    _ANCHORS,
    name="curvature",
    about="plus the preconditioner of what the base knows",
    curvature=True,
)
_PERTURBED = replace(
    _CURVATURE,
    name="perturbed-anchors",
    about="plus a perturbed anchor, distilled from the base, in every other step, the anchor in the others, and half an"
    " earlier sequence more: the default of workspaces",
    rates=ReplayRates(replayed=1.5, anchors=0.5, perturbed_anchors=0.5, anchor_weight=2.0, perturbed_weight=0.1),
)
_OURS = replace(
    _PERTURBED,
    name="ours",
    # For twice the batch, Adam's rate grows by the root of two (Malladi et al. 2022, arXiv 2205.10287). It is constant,
    # at half of what a falling rate starts with: small steps later do not repair what large steps disturb at first.
    about="two sequences a step at √2 times the mean rate, kept constant, with 3¾ earlier ones, an anchor and a"
    " perturbed anchor",
    recipe=replace(PAPER, batch_size=2, learning_rate=PAPER.learning_rate / math.sqrt(2), schedule="constant"),
    rates=ReplayRates(replayed=3.75, anchors=1, perturbed_anchors=1, anchor_weight=2.0, perturbed_weight=0.1),
)
_ONLY_CURVATURE = replace(_NAIVE, name="only-curvature", about="naive with the preconditioner", curvature=True)
_WITHOUT = replace(_OURS, name="without-curvature", about="ours without the preconditioner", curvature=False)
_WITHOUT_PERTURBED = replace(
    _OURS, name="without-perturbed-anchors", about="ours without them", rates=replace(_OURS.rates, perturbed_anchors=0)
)
_ANSWERS = replace(_OURS, name="answers-only", about="ours, with loss on the edits' answers only", answers_only=True)
_STEPS_TO_OURS = (_NAIVE, _REPLAY, _ANCHORS, _CURVATURE, _PERTURBED, _OURS)
_OURS_BUT = (_ONLY_CURVATURE, _WITHOUT, _WITHOUT_PERTURBED, _ANSWERS)
METHODS: dict[str, ForgettingMethod] = {method.name: method for method in (*_STEPS_TO_OURS, *_OURS_BUT)}


def methods_named(names: Sequence[str]) -> list[ForgettingMethod]:
    """Return these methods in this order. Raises WrongUseError for an unknown name."""
    unknown = [name for name in names if name not in METHODS]
    if unknown:
        raise WrongUseError(f"Unknown method {unknown[0]!r}.", next_step=f"Choose among {', '.join(METHODS)}.")
    return [METHODS[name] for name in names]
