"""Imports a published SEAL run into the store: all of it in one transaction, and the same file only once."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING, Any

from engine.lab.published_runs.records import PublishedRun, numbered, read_published_run
from store.candidates import add_candidates, record_examined
from store.database import transaction
from store.errors import NothingToDoError
from store.rounds import finish_round, list_rounds, start_round
from store.tasks import add_tasks

if TYPE_CHECKING:
    from pathlib import Path

    from sqlite_utils import Database


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What was imported, and how its recomputed figures compare with the file's own (`differences`: none is best)."""

    round_number: int
    tasks: int
    candidates: int
    graded_answers: int
    mean_gain: float
    said_mean_gain: float | None
    differences: list[str]


def import_published_run(db: Database, path: Path) -> ImportReport:
    """Import a run. Raises WrongUseError if the file has another format, NothingToDoError if it was imported before."""
    run = read_published_run(path)
    with transaction(db):
        _refuse_second_time(db, run, path)
        add_tasks(db, run.tasks)
        number = start_round(
            db, seed=0, settings=run.round.settings, live_version=None, policy_version=None, imported=True
        ).number
        run = numbered(run, number)
        add_candidates(db, [published.candidate for published in run.candidates])
        for published in run.candidates:
            record_examined(
                db,
                published.candidate.id,
                updates=published.updates,
                answers=published.answers,
                gates=[],
                reward_mean=published.reward.mean,
                reward_std=published.reward.std,
                audit_gain=None,
                adapter_hash=None,
            )
        finish_round(db, number, "done", run.round.summary or {})
    return _imported(run, number)


def _refuse_second_time(db: Database, run: PublishedRun, path: Path) -> None:
    for earlier in list_rounds(db, imported=True):
        if earlier.settings.get("content_hash") == run.content_hash:
            raise NothingToDoError(
                f"{path} was already imported, as round {earlier.number} at {earlier.started_at}.",
                next_step=f"seal-console review list --imported --round {earlier.number}",
            )


def _imported(run: PublishedRun, number: int) -> ImportReport:
    said: Any = (run.round.summary or {}).get("mean_gain")
    return ImportReport(
        round_number=number,
        tasks=len(run.tasks),
        candidates=len(run.candidates),
        graded_answers=sum(answer.phase == "after" for one in run.candidates for answer in one.answers),
        mean_gain=mean(_mean_gains(run)),
        said_mean_gain=said,
        differences=run.differences,
    )


def _mean_gains(run: PublishedRun) -> list[float]:
    """Return each task's mean gain, over which the file takes its own mean."""
    gains: dict[str, list[float]] = {}
    for published in run.candidates:
        gains.setdefault(published.candidate.task_id, []).append(published.reward.mean)
    return [mean(of_task) for of_task in gains.values()]
