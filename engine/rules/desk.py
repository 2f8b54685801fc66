"""Judges proposed candidates before anything is trained on them, and records those that a rule denies.

What a denied candidate is refused for stands in its gates: it has no inner update, no answer and no reward. The
verdicts on all others go into the record of their exam.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.rules.judging import gate_of, judge_all
from store.candidates import get_candidate, record_examined
from store.clock import utc_now

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
    ask: Callable[[Candidate, Task], list[GateResult]],
) -> Judged:
    """Judge every candidate that is still only proposed; one that is denied is recorded as refused.

    `ask` gives further verdicts on what no rule denies.
    """
    of_task = {task.id: task for task in tasks}
    verdicts: dict[str, list[GateResult]] = {}
    after: list[Candidate] = []
    for candidate in candidates:
        now = get_candidate(db, candidate.id)
        if now.state == "proposed":
            task = of_task[now.task_id]
            gates = verdicts_on(rules, now, task)
            if not any(gate.stops for gate in gates):
                gates += ask(now, task)
            if any(gate.stops for gate in gates):
                now = _refuse(db, now, gates)
            else:
                verdicts[now.id] = gates
        after.append(now)
    return Judged(after, verdicts)


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
