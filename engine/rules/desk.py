"""Judges proposed candidates before anything is trained on them, and records those that a rule denies.

What a denied candidate is refused for stands in its gates: it has no inner update, no answer and no reward. The
verdicts on all others go into the record of their exam.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.rules.judging import gate_of, judge_all
from store.candidates import get_candidate, record_examined
from store.clock import utc_now

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from sqlite_utils import Database

    from engine.rules.rule import Rules
    from store.records import Candidate, GateResult, Task


@dataclass(frozen=True, slots=True)
class Judged:
    """Candidates as they stand after the rules have spoken, and the verdicts on those that may be trained."""

    candidates: list[Candidate]
    verdicts: dict[str, list[GateResult]]


def judge_candidates(
    db: Database,
    rules: Rules,
    candidates: Sequence[Candidate],
    tasks: Sequence[Task],
    ask: Callable[[Sequence[tuple[Candidate, Task]]], Generator[list[GateResult], None, None]],
) -> Judged:
    """Judge every candidate that is still only proposed; one that is denied is recorded as refused.

    `ask` gives further verdicts on what no rule denies, in the order of what it is given; each is recorded before the
    next is asked for.
    """
    of_task = {task.id: task for task in tasks}
    current = [get_candidate(db, candidate.id) for candidate in candidates]
    verdicts = {one.id: verdicts_on(rules, one, of_task[one.task_id]) for one in current if one.state == "proposed"}
    left = [(one, of_task[one.task_id]) for one in current if one.id in verdicts and not _denied(verdicts[one.id])]
    after: list[Candidate] = []
    with closing(ask(left)) as answers:
        asked = {one.id for one, _ in left}
        for now in current:
            if now.id in asked:
                verdicts[now.id] += next(answers)
            if _denied(verdicts.get(now.id, ())):
                after.append(_refuse(db, now, verdicts.pop(now.id)))
            else:
                after.append(now)
    return Judged(after, verdicts)


def _denied(gates: Sequence[GateResult]) -> bool:
    return any(gate.stops for gate in gates)


def verdicts_on(rules: Rules, candidate: Candidate, task: Task) -> list[GateResult]:
    """Return every rule's verdict on a candidate."""
    findings = judge_all(rules.rules, candidate.completion, candidate.sequences, task)
    return [gate_of(finding, candidate.id, utc_now()) for finding in findings]


def _refuse(db: Database, candidate: Candidate, gates: Sequence[GateResult]) -> Candidate:
    return record_examined(
        db,
        candidate.id,
        updates=[],
        answers=[],
        gates=gates,
        reward_mean=None,
        reward_std=None,
        audit_gain=None,
        adapter_hash=None,
    )
