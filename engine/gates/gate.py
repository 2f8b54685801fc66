"""The port for gates: what they judge, when they are asked, and what they are given.

A gate judges a batch of candidates and returns verdicts (`store.records.GateResult`) whose evidence is one of the types
in `evidence.py`. To add a gate, write it here in `engine/gates`, add it to a group in `stages.py` and its evidence to
`evidence.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from sqlite_utils import Database

    from engine.exams.exam import ModelRef
    from engine.exams.examiner import Examiner
    from engine.guardrails.reading import Guardrails
    from engine.runtime.progress import Report
    from engine.settings.sections import Settings
    from store.records import Candidate, GateResult, Task
    from store.workspace import Workspace

Stage = Literal["before training", "after training"]


@dataclass(frozen=True, slots=True)
class GateSubject:
    """What a gate judges.

    Before training only the candidate and its task are known. Afterwards `model` is the updated model, and the gains
    (−1 … 1) are those on the task's own questions; None was not measured. A version has no candidate here, and the base
    has no task either.
    """

    id: str
    candidate: Candidate | None = None
    task: Task | None = None
    model: ModelRef | None = None
    reward_mean: float | None = None
    audit_gain: float | None = None


@dataclass(frozen=True, slots=True)
class GateContext:
    """What gates may use. `live` is the model that all subjects of a batch were trained from."""

    db: Database
    workspace: Workspace
    settings: Settings
    guardrails: Guardrails
    examiner: Examiner
    live: ModelRef
    live_version: int | None
    report: Report


class Gate(Protocol):
    """Judges candidates at one stage."""

    @classmethod
    def open(cls, context: GateContext, stage: Stage) -> Self | None:
        """Make the gate ready; None if it is switched off, or is not asked at this stage.

        Raises WrongUseError if what the gate needs, such as a suite or a key, cannot be read.
        """
        ...

    def check(self, subjects: Sequence[GateSubject]) -> Generator[list[GateResult], None, None]:
        """Yield the verdicts on each subject, in their order; an empty list if the gate has nothing to say."""
        ...
