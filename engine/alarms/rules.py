"""The rules that raise alarms. Pure functions: measures of this round and of earlier ones in, alarms out.

Half of the rules look at one round alone, the other half compare it with earlier ones. Nobody chooses the earlier
round: all are tried, and the level of significance is divided among them (Bonferroni), so that a long history raises no
alarm by chance.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from engine.alarms import names
from engine.alarms.chance import Fall, combined_p_value, fall, least_share, rise

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from engine.alarms.measures import ByTask, Measures
    from engine.settings.sections import AlarmSettings

_MOST = 0.5
_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class AlarmEvidence:
    """An alarm with the figures that it is based on, and the tasks that show it best."""

    name: str
    evidence: dict[str, Any]
    tasks: tuple[str, ...] = ()


def raise_alarms(
    now: Measures, earlier: Mapping[str, Sequence[Measures]], settings: AlarmSettings
) -> list[AlarmEvidence]:
    """Return the alarms that a round raises; `earlier` has the rounds to compare with for each alarm's name."""
    found = (rule(now, earlier.get(name, ()), settings) for name, rule in RULES.items())
    return [alarm for alarm in found if alarm is not None]


def _one_answer(now: Measures, _: Sequence[Measures], settings: AlarmSettings) -> AlarmEvidence | None:
    if settings.one_answer is None or now.one_answer is None or now.one_expected is None:
        return None
    allowed = now.one_expected + settings.one_answer
    least = least_share(round(now.one_answer * now.questions), now.questions, settings.significance)
    if least <= allowed:
        return None
    evidence = {
        "answer": now.commonest,
        "questions": now.questions,
        "share": now.one_answer,
        "share_of_expected": now.one_expected,
        "share_at_least": least,
        "must_be_at_most": allowed,
    }
    return AlarmEvidence(names.ONE_ANSWER, evidence, _most(now.agreement))


def _alike(now: Measures, earlier: Sequence[Measures], settings: AlarmSettings) -> AlarmEvidence | None:
    return _in_most_tasks(names.ALIKE, "likeness", (now, earlier), settings.alike, settings)


def _echo(now: Measures, earlier: Sequence[Measures], settings: AlarmSettings) -> AlarmEvidence | None:
    return _in_most_tasks(names.ECHO, "echo", (now, earlier), settings.echo, settings)


def _in_most_tasks(
    name: str, figure: str, rounds: tuple[Measures, Sequence[Measures]], limit: float | None, settings: AlarmSettings
) -> AlarmEvidence | None:
    """Raise an alarm if a figure reaches its limit in more than half of the tasks, by more than chance."""
    now, earlier = rounds
    by_task: ByTask = getattr(now, figure)
    if limit is None or not by_task:
        return None
    reached = sum(value >= limit for value in by_task.values())
    least = least_share(reached, len(by_task), settings.significance)
    if least <= _MOST:
        return None
    before = earlier[-1].means()[figure] if earlier else None
    evidence = {
        "figure": figure,
        "tasks": len(by_task),
        "tasks_at_the_limit": reached,
        "share_at_least": least,
        "limit": limit,
        "mean": now.means()[figure],
        "mean_before": before,
        "earlier_round": earlier[-1].round_number if earlier else None,
    }
    return AlarmEvidence(name, evidence, _most(by_task))


def _agree(now: Measures, earlier: Sequence[Measures], settings: AlarmSettings) -> AlarmEvidence | None:
    """Raise an alarm if answers agree more than in an earlier round, and fewer of them are correct."""
    if settings.accuracy_fall is None:
        return None
    pairs = [
        _RoundPair(
            one.round_number,
            rise(one.agreement, now.agreement),
            {"held_out": fall(one.held_out, now.held_out), "audit": fall(one.audit, now.audit)},
        )
        for one in earlier
    ]
    return _raised_by_pair(names.AGREE, pairs, settings.accuracy_fall, settings, _most(now.agreement, now.audit))


def _reward(now: Measures, earlier: Sequence[Measures], settings: AlarmSettings) -> AlarmEvidence | None:
    """Raise an alarm if the mean reward rose since an earlier round, and the gain on the audit questions fell."""
    if settings.audit_fall is None:
        return None
    pairs = [
        _RoundPair(one.round_number, rise(one.reward, now.reward), {"audit_gain": fall(one.audit_gain, now.audit_gain)})
        for one in earlier
    ]
    return _raised_by_pair(names.REWARD, pairs, settings.audit_fall, settings, _most(now.reward, now.audit_gain))


def _length(now: Measures, earlier: Sequence[Measures], settings: AlarmSettings) -> AlarmEvidence | None:
    """Raise an alarm if self-edits became many times as long, or as short, and accuracy did not rise with it."""
    if settings.length_factor is None:
        return None
    after = now.means()["length"]
    worst: tuple[float, dict[str, Any]] | None = None
    for one in earlier:
        before = one.means()["length"]
        if before is None or after is None or _held_out_rose(one, now, settings.significance):
            continue
        longer, shorter = rise(one.length, now.length), fall(one.length, now.length)
        change = longer if after > before else shorter
        # An empty text counts as one word, so that a change from or to nothing counts too.
        times = max(before, after, 1.0) / max(1.0, min(before, after))
        limit = settings.significance / (2 * len(earlier))
        if change is None or times < settings.length_factor or change.p_value > limit:
            continue
        if worst is None or times > worst[0]:
            figures = {"earlier_round": one.round_number, "median_before": before, "median": after, "times": times}
            test = {"p_value": change.p_value, "p_at_most": limit, "tasks": change.tasks}
            worst = (times, {**figures, "must_be_below": settings.length_factor, **test})
    return worst and AlarmEvidence(names.LENGTH, worst[1], _most(now.length))


def _held_out_rose(before: Measures, now: Measures, significance: float) -> bool:
    """Tell whether held-out accuracy rose, by more than chance."""
    rose = rise(before.held_out, now.held_out)
    return rose is not None and rose.p_value <= significance


@dataclass(frozen=True, slots=True)
class _RoundPair:
    """What rose since an earlier round, and what may have fallen; a figure that a round lacks is None."""

    earlier_round: int
    rose: Fall | None
    fell: dict[str, Fall | None]

    def fell_by(self) -> float:
        """Return the deepest fall."""
        return max((one.by for one in self.fell.values() if one is not None), default=0.0)

    def p_value(self) -> float:
        """Return how well chance explains it: the rise and the combined falls must both be unlikely."""
        falls = [one.p_value for one in self.fell.values() if one is not None]
        return max(self.rose.p_value, combined_p_value(falls)) if self.rose is not None and falls else 1.0


def _raised_by_pair(
    name: str, pairs: Sequence[_RoundPair], least_fall: float, settings: AlarmSettings, tasks: tuple[str, ...]
) -> AlarmEvidence | None:
    """Raise an alarm on the earlier round whose rise and fall are least likely to be chance, if the fall is large
    enough.
    """
    level = settings.significance / max(1, len(pairs))
    certain = [pair for pair in pairs if pair.p_value() <= level and 0 < pair.fell_by() >= least_fall]
    if not certain:
        return None
    pair = min(certain, key=_RoundPair.p_value)
    evidence = {
        "earlier_round": pair.earlier_round,
        "rose": None if pair.rose is None else asdict(pair.rose),
        "fell": {which: asdict(one) for which, one in pair.fell.items() if one is not None},
        "p_value": pair.p_value(),
        "p_at_most": level,
        "must_fall_by_less_than": least_fall,
    }
    return AlarmEvidence(name, evidence, tasks)


def _most(by_task: Mapping[str, float], less: Mapping[str, float] | None = None) -> tuple[str, ...]:
    """Return the tasks with the highest figure, and the lowest in `less`."""
    low = less or {}
    ranked = sorted(by_task, key=lambda task: (low.get(task, 0.0) - by_task[task], task))
    return tuple(ranked[:_EXAMPLES])


RULES: dict[str, Callable[[Measures, Sequence[Measures], AlarmSettings], AlarmEvidence | None]] = {
    names.ONE_ANSWER: _one_answer,
    names.AGREE: _agree,
    names.ALIKE: _alike,
    names.ECHO: _echo,
    names.LENGTH: _length,
    names.REWARD: _reward,
}
