"""The origin of a version that was not trained here: an imported adapter, with the rows that stand for it.

A version always has a candidate of a round. That of an imported adapter is in a round of its own, marked as imported,
about a task without questions; they are recorded in the transaction that records the version, so nothing is there
without it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from store.candidates import add_candidates, record_examined
from store.clock import utc_now
from store.errors import WrongUseError
from store.events import append_event
from store.hashing import hash_json
from store.records import Candidate, Round, Task
from store.rounds import finish_round, next_round_number, open_round, record_start
from store.rows import from_row, to_row
from store.tasks import add_tasks
from store.version_rows import list_versions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlite_utils import Database

IMPORTED_FORMAT = "imported"  # a candidate's form of self-edit, which nobody wrote
_ORIGIN_KEY = "imported_adapter"


@dataclass(frozen=True, slots=True)
class AdapterOrigin:
    """Where an imported adapter came from: its folder, the hash of its two files as they were, and the base it names.

    `rank` and `layers` are the source's own; it is kept in the shape of the workspace's inner updates.
    """

    folder: str
    source_hash: str
    base_named: str
    rank: int
    alpha: float
    layers: int


@dataclass(frozen=True, slots=True)
class ImportedRows:
    """The rows of an imported adapter before they are recorded; the candidate is a proposed one."""

    task: Task
    round: Round
    candidate: Candidate
    adapter_hash: str

    def as_records(self) -> dict[str, Any]:
        """Return them as an intent keeps them."""
        task = to_row(self.task, without={"questions"})
        rows = {"task": task, "round": to_row(self.round), "candidate": to_row(self.candidate)}
        return {**rows, "adapter_hash": self.adapter_hash}

    @classmethod
    def from_records(cls, records: Mapping[str, Any]) -> ImportedRows:
        """Return the rows that an intent keeps."""
        task, of_round = from_row(Task, records["task"]), from_row(Round, records["round"])
        return cls(task, of_round, from_row(Candidate, records["candidate"]), records["adapter_hash"])


def require_nothing_accepted(db: Database) -> None:
    """Raise WrongUseError if a version or an unfinished round depends on the base alone being live."""
    versions = list_versions(db)
    if versions:
        raise WrongUseError(
            f"An adapter is imported only before the first acceptance; this workspace has {versions[-1].tag}.",
            next_step="seal-console init DIR makes a workspace to import it into.",
        )
    unfinished = open_round(db)
    if unfinished is not None:
        raise WrongUseError(
            f"Round {unfinished.number} is {unfinished.state}: its candidates are trained on the base alone.",
            next_step=f'seal-console rounds abandon {unfinished.number} --reason "…", then import again.',
        )


def imported_rows(db: Database, origin: AdapterOrigin, adapter_hash: str, base: Mapping[str, Any]) -> ImportedRows:
    """Return the rows that will stand for an imported adapter."""
    now, about = utc_now(), asdict(origin)
    title = f"Imported adapter {origin.source_hash.removeprefix('sha256:')[:12]}"
    context = "An adapter that was not trained in this workspace. There is no document."
    task = Task(hash_json([title, context, adapter_hash]), title, context, origin.folder, now, imported=True)
    number = next_round_number(db)
    settings = {"base": dict(base), "source": origin.folder, _ORIGIN_KEY: about}
    candidate = Candidate(
        id=hash_json([IMPORTED_FORMAT, adapter_hash, about]),
        round_number=number,
        task_id=task.id,
        position=0,
        role="train",
        edit_format=IMPORTED_FORMAT,
        prompt="",
        completion=f"Imported from {origin.folder}. Nobody wrote a self-edit, and nothing was measured.",
        sampling={_ORIGIN_KEY: about},
        seed=0,
        state="proposed",
        created_at=now,
        sequences=[],
    )
    return ImportedRows(
        task, Round(number, "running", 0, settings, now, None, None, imported=True), candidate, adapter_hash
    )


def record_imported(db: Database, rows: ImportedRows, actor: str, reason: str) -> None:
    """Record the origin of a version, in the caller's transaction, right before the version itself."""
    about = rows.round.settings[_ORIGIN_KEY]
    append_event(db, "adapter.imported", {"adapter_hash": rows.adapter_hash, "actor": actor, "reason": reason, **about})
    add_tasks(db, [rows.task])
    record_start(db, rows.round)
    add_candidates(db, [rows.candidate])
    record_examined(
        db, rows.candidate.id, updates=[], answers=[], gates=[], reward_mean=None, reward_std=None, audit_gain=None,
        adapter_hash=rows.adapter_hash,
    )  # fmt: skip
    finish_round(db, rows.round.number, "done", {_ORIGIN_KEY: about})


def origin_of(candidate: Candidate) -> dict[str, Any] | None:
    """Return where a candidate's adapter was imported from; None if it was trained here."""
    found = candidate.sampling.get(_ORIGIN_KEY)
    return found if isinstance(found, dict) else None
