"""The tables as they are exported: the headings of each, and its rows read in parts, in the order they are shown in."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from shlex import quote
from typing import TYPE_CHECKING

from engine.retention.matrix import recorded_matrix
from seal_console.queries.log import event_keys, export_events
from seal_console.queries.queue import COLUMN_SORTS as QUEUE_SORTS
from seal_console.queries.queue import QueueQuery, queue_keys, queue_rows
from seal_console.queries.rounds import RoundLine, kept_ids, ranked_rows, ranking, round_lines
from seal_console.queries.tasks import COLUMN_SORTS as TASK_SORTS
from seal_console.queries.tasks import TasksQuery, task_keys, task_rows
from seal_console.queries.versions import history
from seal_console.table_files import TableExport, in_batches
from store.errors import WrongUseError
from store.rounds import get_round
from store.version_rows import live_version
from store.version_tags import version_tag
from store.wording import nearest_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlite_utils import Database

    from engine.retention.matrix import Matrix
    from seal_console.queries.versions import VersionLine
    from seal_console.table_files import Value

_REVIEW = (
    "id", "round", "task", "state", "role", "reward_mean", "reward_std", "audit_gain", "parent", "derived_from",
    "self_edit_begins",
)  # fmt: skip
_VERSIONS = (
    "version",
    "parent",
    "pointers",
    "reward",
    "audit_gain",
    "accepted_by",
    "reason",
    "created_at",
    "candidate",
)
_ROUNDS = tuple(field.name for field in fields(RoundLine))
_CANDIDATES = (
    "place", "id", "role", "task", "state", "reward_mean", "reward_std", "audit_gain", "derived_from", "kept",
)  # fmt: skip
_TASKS = (
    "id", "title", "source", "document", "reward_questions", "audit_questions", "best_reward", "weakness", "asked",
    "imported", "added_at",
)  # fmt: skip
_EVENTS = ("sequence", "at", "kind", "payload", "previous_hash", "hash")
TABLES = ("review", "versions", "rounds", "candidates", "tasks", "events", "retention")


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """Options of an export; None and "" mean the table's own order, all rows, and the newest round."""

    text: str = ""
    sort: str | None = None
    backwards: bool = False
    everything: bool = False
    round_number: int | None = None


def find_table(db: Database, name: str, wanted: ExportRequest) -> TableExport:
    """Return one of TABLES. Raises WrongUseError for an order, filter or round that the table does not have."""
    _refuse_unknown(name, wanted)
    tables: dict[str, Callable[[], TableExport]] = {
        "review": lambda: review_table(
            queue_keys(db, QueueQuery(wanted.text, wanted.everything, wanted.sort or "reward", wanted.backwards))
        ),
        "tasks": lambda: tasks_table(
            task_keys(db, TasksQuery(wanted.text, wanted.sort or "weakness", wanted.backwards))
        ),
        "events": lambda: events_table(event_keys(db, wanted.text)),
        "versions": lambda: versions_table(history(db).versions),
        "rounds": lambda: rounds_table(round_lines(db)),
        "candidates": lambda: _candidates_of(db, wanted.round_number),
        "retention": lambda: matrix_table(recorded_matrix(db, live_version(db))),
    }
    return tables[name]()


def review_table(keys: Sequence[int]) -> TableExport:
    """The candidates with these keys."""

    def rows(db: Database) -> Iterator[tuple[Value, ...]]:
        for part in in_batches(keys):
            found = queue_rows(db, part)
            for one in (found[key] for key in part if key in found):
                yield (
                    one.id, one.round_number, one.title, one.state, one.role, one.reward_mean, one.reward_std,
                    one.audit_gain, one.live_version, one.derived_from, one.beginning,
                )  # fmt: skip

    return TableExport("review", _REVIEW, rows)


def versions_table(lines: Sequence[VersionLine]) -> TableExport:
    """The versions of these lines."""
    rows = [
        (one.tag, "" if one.parent is None else version_tag(one.parent), " ".join(one.pointers), one.reward_mean,
         one.audit_gain, one.accepted_by, one.reason, one.created_at, one.candidate_id)
        for one in lines
    ]  # fmt: skip
    return TableExport("versions", _VERSIONS, lambda _: rows)


def rounds_table(lines: Sequence[RoundLine]) -> TableExport:
    """The rounds of these lines."""
    return TableExport("rounds", _ROUNDS, lambda _: [astuple(line) for line in lines])


def candidates_table(number: int, places: Mapping[int, int], kept: frozenset[str]) -> TableExport:
    """The candidates of a round; `places` has their keys in order, `kept` the ids that the policy was trained on."""

    def rows(db: Database) -> Iterator[tuple[Value, ...]]:
        for part in in_batches(list(places)):
            found = ranked_rows(db, part)
            for key, one in ((key, found[key]) for key in part if key in found):
                yield (
                    places[key], one.id, one.role, one.title, one.state, one.reward_mean, one.reward_std,
                    one.audit_gain, one.derived_from, one.id in kept,
                )  # fmt: skip

    return TableExport(f"candidates-of-round-{number}", _CANDIDATES, rows)


def tasks_table(keys: Sequence[int]) -> TableExport:
    """The tasks with these keys."""

    def rows(db: Database) -> Iterator[tuple[Value, ...]]:
        for part in in_batches(keys):
            found = task_rows(db, part)
            for one in (found[key] for key in part if key in found):
                yield (
                    one.id, one.title, one.source, one.document, one.reward_questions, one.audit_questions,
                    one.best_reward, one.weakness, one.asked, bool(one.imported), one.added_at,
                )  # fmt: skip

    return TableExport("tasks", _TASKS, rows)


def matrix_table(matrix: Matrix) -> TableExport:
    """The forgetting matrix: a row for each version, a column for each edit; shares 0 … 1, empty if not measured."""
    rows = [(name, *cells) for name, cells in zip(matrix.rows, matrix.cells, strict=True)]
    return TableExport("retention", ("version", *(column.version for column in matrix.columns)), lambda _: rows)


def events_table(keys: Sequence[int]) -> TableExport:
    """The events with these numbers."""
    return TableExport(
        "events", _EVENTS, lambda db: (row for part in in_batches(keys) for row in export_events(db, part))
    )


def _candidates_of(db: Database, number: int | None) -> TableExport:
    if number is None:
        lines = round_lines(db)
        if not lines:
            raise WrongUseError("No round has run yet.", next_step="seal-console run --rounds 1")
        number = lines[0].number
    current = get_round(db, number)
    return candidates_table(number, ranking(db, number), kept_ids(current))


def _refuse_unknown(name: str, wanted: ExportRequest) -> None:
    sorts = {"review": list(QUEUE_SORTS), "tasks": list(TASK_SORTS)}.get(name, [])
    if (wanted.sort is not None or wanted.backwards) and not sorts:
        raise WrongUseError(f"The table {name} has one order only.", next_step="Leave out --sort and --reverse.")
    if wanted.sort is not None and wanted.sort not in sorts:
        raise WrongUseError(
            f"The table {name} has no column {wanted.sort!r} to sort by; columns: {', '.join(sorts)}.",
            next_step=f"seal-console export table {name} --sort {quote(nearest_name(wanted.sort, sorts) or sorts[0])}",
        )
    if wanted.text and name not in {"review", "tasks", "events"}:
        raise WrongUseError(f"The table {name} has no filter.", next_step="Leave out --filter.")
    if wanted.everything and name != "review":
        raise WrongUseError(
            "--all is for the table review; the others are always complete.", next_step="Leave out --all."
        )
    if wanted.round_number is not None and name != "candidates":
        raise WrongUseError(
            "--round is for the table candidates.",
            next_step=f'seal-console export table review --filter "round:{wanted.round_number}"',
        )
