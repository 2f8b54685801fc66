"""Which gates are asked at which stage, and in which order.

Gates in one group are all asked, so that a person sees everything that speaks against a candidate. A group is not asked
about candidates that an earlier group has stopped: later groups cost more.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import closing
from typing import TYPE_CHECKING

from engine.gates.guardrails import RulesGate
from engine.gates.judge import JudgeGate
from engine.gates.red_team import RedTeamGate
from engine.gates.retention import DriftGate, EarlierEditsGate, SuitesGate
from engine.gates.reward import AuditGate, RewardGate

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from engine.gates.gate import Gate, GateContext, GateSubject, Stage
    from store.records import GateResult

GROUPS: Mapping[Stage, tuple[tuple[type[Gate], ...], ...]] = {
    "before training": ((RulesGate,), (JudgeGate,)),
    "after training": (
        (RewardGate, AuditGate),
        (JudgeGate,),
        (RedTeamGate, SuitesGate, EarlierEditsGate, DriftGate),
    ),
}


class StageGates:
    """The gates of one stage that are switched on, ready to judge."""

    def __init__(self, context: GateContext, stage: Stage) -> None:
        """Raises WrongUseError if what a gate needs, such as a suite or a key, cannot be read."""
        opened = ([gate.open(context, stage) for gate in group] for group in GROUPS[stage])
        self._groups = [[gate for gate in group if gate is not None] for group in opened]

    def check(self, subjects: Sequence[GateSubject]) -> Generator[tuple[GateSubject, list[GateResult]], None, None]:
        """Yield each subject with all its verdicts, in the order of the subjects.

        The last group is asked lazily, so a caller may record one subject before the next is judged.
        """
        verdicts: dict[str, list[GateResult]] = defaultdict(list)
        left = list(subjects)
        for group in self._groups[:-1]:
            for subject, found in _ask(group, left):
                verdicts[subject.id] += found
            left = [one for one in left if not any(gate.stops for gate in verdicts[one.id])]
        asked = {one.id for one in left}
        with closing(_ask(self._groups[-1], left)) as last:
            for subject in subjects:
                if subject.id in asked:
                    verdicts[subject.id] += next(last)[1]
                yield subject, verdicts[subject.id]


def _ask(
    group: Sequence[Gate], subjects: Sequence[GateSubject]
) -> Generator[tuple[GateSubject, list[GateResult]], None, None]:
    """Yield what all gates of a group say about each subject; stops them if nobody listens any more."""
    if not subjects:
        return
    answers = [gate.check(subjects) for gate in group]
    try:
        for subject in subjects:
            yield subject, [verdict for answer in answers for verdict in next(answer)]
    finally:
        for answer in answers:
            answer.close()
