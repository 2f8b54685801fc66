"""Racing: which self-edits of a task are trained again, and which can stop because they will not be kept.

Every self-edit is trained and examined once. Further repeats go where they decide what is kept:

- `exact` stops a self-edit only if no result of its remaining repeats, and of those of others, could still make it one
  of the kept. So what `select` keeps is the same as if everything had been repeated. Those that are kept always have
  all their repeats.
- `leaders` repeats only those that are level with the best so far, at most one more than can be kept, and ends when no
  more are left than that. It saves more, and sometimes keeps another self-edit: docs/experiments.md has the figures.

Only reward questions count, never audit questions. Pure functions of verdicts: the races of a round that was
interrupted are decided again from what is recorded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from engine.loop.reward import measure_reward
from engine.loop.select import is_good_enough, score_candidate, selection_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.loop.reward import Verdicts
    from engine.loop.select import ScoredCandidate, SelectionKey, SelectionMode

RacingRule = Literal["off", "exact", "leaders"]
StopReason = Literal["behind", "threshold", "decided"]
_ONE_TOO_MANY = 1  # of those that are level, as many go on as can be kept, and one more
Update = tuple[str, int]  # a candidate's id, and the number of a repeat


@dataclass(frozen=True, slots=True)
class Contender:
    """A self-edit that may still be kept: its right answers to the task's reward questions, one count per repeat.

    `is_judged` is whether its gates have spoken. Those that they refused are no contenders.
    """

    candidate_id: str
    position: int
    right_per_repeat: tuple[int, ...] = ()
    is_judged: bool = False


@dataclass(frozen=True, slots=True)
class Race:
    """The race of one task: the rule, how self-edits are kept, and the untouched model's verdicts in rows."""

    rule: RacingRule
    mode: SelectionMode
    best_k: int
    threshold: float
    repeats: int
    before: tuple[Verdicts, ...]

    @property
    def questions(self) -> int:
        """How many reward questions the task has."""
        return len(self.before[0])


def next_updates(race: Race, contenders: Sequence[Contender]) -> list[Update]:
    """Return the inner updates to train next; none if the race is decided.

    First each self-edit once. Then, by `exact`, the next repeat of the most promising: the sooner the best have all
    their repeats, the sooner the others can stop. By `leaders`, the next repeat of all that are level.
    """
    unmeasured = [one for one in contenders if not one.right_per_repeat]
    if race.rule == "off":
        return [(one.candidate_id, at) for one in contenders for at in _missing(race, one)]
    if unmeasured:
        return [(one.candidate_id, 0) for one in unmeasured]
    if race.rule == "leaders":
        return [(one.candidate_id, len(one.right_per_repeat)) for one in _level(race, contenders).unfinished]
    unfinished = [one for one in open_contenders(race, contenders) if _missing(race, one)]
    promising = sorted(unfinished, key=lambda one: (-_mean(one), -len(one.right_per_repeat), one.position))
    return [(one.candidate_id, len(one.right_per_repeat)) for one in promising[: race.best_k]]


def open_contenders(race: Race, contenders: Sequence[Contender]) -> list[Contender]:
    """Return those that may still be kept, in their order."""
    if race.rule == "leaders":
        return _level(race, contenders).open
    if race.rule == "off":
        return list(contenders)
    return [one for one in contenders if why_stopped(race, one, contenders) is None]


def why_stopped(race: Race, one: Contender, contenders: Sequence[Contender]) -> StopReason | None:
    """Return why a self-edit needs no further repeats; None if it has all of them or may still be kept."""
    if race.rule != "off" and not is_good_enough(_scored(race, one, best=True), race.mode, race.threshold):
        return "threshold" if _missing(race, one) else None
    if race.rule == "leaders":
        is_open = one in _level(race, contenders).open
        return "decided" if is_open and _missing(race, one) else None if is_open else "behind"
    if race.rule == "off":
        return None
    at_best = _key(race, one, best=True)
    ahead = sum(_key(race, other, best=False) < at_best for other in contenders if other != one)
    return "behind" if ahead >= race.best_k else None


@dataclass(frozen=True, slots=True)
class _Level:
    """Those that are level with the best so far, and those of them that lack the repeat that decides next."""

    open: list[Contender]
    unfinished: list[Contender]


def _level(race: Race, contenders: Sequence[Contender]) -> _Level:
    """Cut the field after each repeat; contenders that the gates have let pass already take their places."""
    places = race.best_k - sum(one.is_judged for one in contenders)
    field = [
        one
        for one in contenders
        if not one.is_judged and is_good_enough(_scored(race, one, best=True), race.mode, race.threshold)
    ]
    if places <= 0:
        return _Level([], [])
    for repeat in range(race.repeats):
        if len(field) <= places and repeat:
            break
        lacking = [one for one in field if len(one.right_per_repeat) <= repeat]
        if lacking:
            return _Level(field, lacking)
        total = {one.candidate_id: sum(one.right_per_repeat[: repeat + 1]) for one in field}
        field = sorted(field, key=lambda one: (-total[one.candidate_id], one.position))
        least = total[field[min(places, len(field)) - 1].candidate_id] if field else 0
        field = [one for one in field if total[one.candidate_id] >= least][: places + _ONE_TOO_MANY]
    return _Level(field, [])


def _missing(race: Race, one: Contender) -> range:
    return range(len(one.right_per_repeat), race.repeats)


def _mean(one: Contender) -> float:
    return sum(one.right_per_repeat) / len(one.right_per_repeat)


def _scored(race: Race, one: Contender, *, best: bool) -> ScoredCandidate:
    """Return a contender as if all its missing repeats were all right, or all wrong."""
    rest = race.questions if best else 0
    counts = [*one.right_per_repeat, *(rest for _ in _missing(race, one))]
    rows = [[True] * count + [False] * (race.questions - count) for count in counts]
    return score_candidate(one.candidate_id, "", one.position, measure_reward(race.before, rows))


def _key(race: Race, one: Contender, *, best: bool) -> SelectionKey:
    return selection_key(_scored(race, one, best=best), race.mode)
