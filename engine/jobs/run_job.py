"""Runs one job: rounds, or the examination of an edited candidate. The model stays loaded between jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.loop.base_loading import load_base_of, with_folder_of_gguf
from engine.loop.finish_round import run_result
from engine.loop.reexamine import reexamine
from engine.loop.round import run_rounds
from engine.loop.session import Session, pool_of
from engine.settings.reading import load_settings
from store.errors import WrongUseError
from store.jobs import note_job
from store.live_ref import sync_checkout
from store.rounds import list_rounds, open_round

if TYPE_CHECKING:
    from sqlite_utils import Database

    from engine.executors.process_pool import ProcessPool
    from engine.model.base import BaseModel
    from engine.runtime.engine_lock import LockedWorkspace
    from engine.settings.sections import ModelSettings
    from store.records import Job, Round


class JobRunner:
    """Runs jobs in a locked workspace; the base model is loaded when a job first needs it."""

    def __init__(self) -> None:
        self._base: BaseModel | None = None
        self._settings: ModelSettings | None = None
        self._pool: ProcessPool | None = None

    def answer(self, held: LockedWorkspace, job: Job) -> dict[str, Any]:
        """Run a job that is set to running and return its result. Raises SealError if it cannot be done."""
        sync_checkout(held.workspace, held.db)
        session = self._session(held)
        return _run(session, job) if job.kind == "run" else _reexamine(session, job)

    def _session(self, held: LockedWorkspace) -> Session:
        settings = load_settings(held.workspace.settings_file)
        settings = with_folder_of_gguf(settings, held.workspace.cache_folder, held.report)
        if self._base is None or self._settings != settings.model:
            self.close()  # free the old one first
            self._base, self._settings = load_base_of(settings), settings.model
            self._pool = pool_of(self._base, settings.model)
        return Session(held.workspace, held.db, settings, self._base, held.report, pool=self._pool)

    def close(self) -> None:
        """Free the model, and end the processes that compute with it."""
        if self._pool is not None:
            self._pool.close()
        self._base = self._pool = None


def _run(session: Session, job: Job) -> dict[str, Any]:
    """Run rounds; those that were finished before an engine died during this job are not run again."""
    rounds = job.payload.get("rounds", 1)
    if not isinstance(rounds, int) or isinstance(rounds, bool) or rounds < 1:
        raise WrongUseError(f"A run needs at least one round, not {rounds!r}.")
    first = (job.result or {}).get("first_round")
    if first is None:
        first = _next_round(session.db)
        note_job(session.db, job.id, {"first_round": first})
    run_rounds(session, rounds - len(_finished_since(session.db, first)))
    return run_result(_finished_since(session.db, first))


def _reexamine(session: Session, job: Job) -> dict[str, Any]:
    candidate = reexamine(session, job.payload, job.actor)
    return {"candidate": candidate.id, "state": candidate.state, "reward_mean": candidate.reward_mean}


def _next_round(db: Database) -> int:
    """Return the number of the round that is run next: the unfinished one, or a new one."""
    unfinished = open_round(db)
    return unfinished.number if unfinished else 1 + max((one.number for one in list_rounds(db)), default=0)


def _finished_since(db: Database, first: int) -> list[Round]:
    rounds = list_rounds(db, imported=False)
    return [one for one in rounds if one.number >= first and one.finished_at is not None]
