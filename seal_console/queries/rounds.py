"""The rounds as a table, one of them in figures, and its candidates, the best first.

Figures of the E-step cover what the policy wrote for training tasks; edited candidates are left out, and are marked in
the ranking.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from engine.trackers.summary import HeldOutFigures, summary_of
from store.database import fetch, fetch_value
from store.ranking import rank_order
from store.review_queue import KNOWN_SPREAD
from store.rounds import get_round, list_rounds
from store.version_rows import get_policy_version
from store.version_tags import policy_tag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlite_utils import Database

    from engine.trackers.summary import RacingFigures
    from store.records import PolicyVersion, Round

_BINS = 8
_LOWEST, _HIGHEST = -1.0, 1.0
_E_STEP = "candidates.role = 'train' AND candidates.derived_from IS NULL"


@dataclass(frozen=True, slots=True)
class RoundLine:
    """One line of the table. Rewards are gains (−1 … 1); held-out figures are accuracies (0 … 1).

    `racing` is None if no self-edit stopped early.
    """

    number: int
    state: str
    imported: bool
    seed: int
    tasks: int
    held_out_tasks: int
    candidates: int
    kept: int | None
    refused: int
    mean_reward: float | None
    best_reward: float | None
    held_out_before: float | None
    held_out_after: float | None
    live_version: int | None
    policy_version: int | None
    new_policy_version: int | None
    started_at: str
    finished_at: str | None
    duration_s: float | None
    racing: RacingFigures | None

    @property
    def policy_dropped(self) -> bool:
        """Whether a policy was trained and examined, and did not earn its place."""
        return self.held_out_after is not None and self.new_policy_version is None


@dataclass(frozen=True, slots=True)
class Bin:
    """The number of candidates with a reward in [low, high); the last bin includes `high`."""

    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class RoundFacts:
    """One round in figures; losses are means over its inner updates of the first and of the last step's."""

    round: Round
    line: RoundLine
    by_format: dict[str, int]
    rewards: list[Bin]
    refused_by_gate: dict[str, int]
    updates: int
    first_loss: float | None
    last_loss: float | None
    trained_tokens: int
    held_out_questions: int
    held_out_edits: int | None
    policy: PolicyVersion | None


@dataclass(frozen=True, slots=True)
class RankedCandidate:
    """One candidate of a round."""

    key: int
    id: str
    role: str
    title: str
    state: str
    reward_mean: float | None
    reward_std: float | None
    audit_gain: float | None
    derived_from: str | None


def round_lines(db: Database, first: int = 1) -> list[RoundLine]:
    """Return all rounds from number `first` on, the newest first."""
    figures = {
        row["round_number"]: row
        for row in fetch(
            db,
            "SELECT round_number, count(*) AS candidates, sum(state = 'refused') AS refused, "  # noqa: S608
            "avg(reward_mean) AS mean_reward, max(reward_mean) AS best_reward, count(DISTINCT task_id) AS tasks "
            f"FROM candidates WHERE {_E_STEP} AND round_number >= ? GROUP BY round_number",
            (first,),
        )
    }
    rounds = [one for one in list_rounds(db) if one.number >= first]
    return [_line(one, figures.get(one.number, {})) for one in reversed(rounds)]


def policy_outcome(line: RoundLine) -> str:
    """Return the outcome of a round's policy in a few words."""
    if line.imported:
        return "imported"
    if line.state in {"running", "interrupted"}:
        return "not yet"
    if line.state == "failed":
        return "given up"
    if line.new_policy_version is not None:
        return f"✓ {policy_tag(line.new_policy_version)}"
    if line.policy_dropped:
        return "✗ dropped"
    return "no task held out" if not line.held_out_tasks else "nothing kept"


def round_facts(db: Database, line: RoundLine) -> RoundFacts:
    """Read the figures of a round. Raises WrongUseError if it does not exist."""
    number = line.number
    current = get_round(db, number)
    [losses] = fetch(
        db,
        "SELECT count(*) AS updates, avg(json_extract(losses, '$[0]')) AS first, "  # noqa: S608
        "avg(json_extract(losses, '$[#-1]')) AS last, coalesce(sum(trained_tokens), 0) AS tokens "
        "FROM candidates JOIN inner_updates ON inner_updates.candidate_id = candidates.id "
        f"WHERE round_number = ? AND {_E_STEP}",
        (number,),
    )
    return RoundFacts(
        round=current,
        line=line,
        by_format=_counted(
            db,
            f"SELECT edit_format, count(*) FROM candidates WHERE {_E_STEP} AND round_number = ? "  # noqa: S608
            "GROUP BY edit_format ORDER BY 2 DESC",
            number,
        ),
        rewards=histogram(db, number),
        refused_by_gate=_counted(
            db,
            "SELECT gate, count(*) FROM candidates JOIN gates ON gates.candidate_id = candidates.id "  # noqa: S608
            f"WHERE {_E_STEP} AND round_number = ? AND NOT passed AND on_failure IS NULL "
            "GROUP BY gate ORDER BY 2 DESC",
            number,
        ),
        updates=losses["updates"],
        first_loss=losses["first"],
        last_loss=losses["last"],
        trained_tokens=losses["tokens"],
        held_out_questions=_questions(db, _chosen(current, "held_out")),
        held_out_edits=(current.settings.get("round") or {}).get("held_out_edits"),
        policy=None if current.new_policy_version is None else get_policy_version(db, current.new_policy_version),
    )


def histogram(db: Database, number: int) -> list[Bin]:
    """Count the rewards of a round in bins of equal width; one beyond −1 … 1 is counted in the nearest bin."""
    width = (_HIGHEST - _LOWEST) / _BINS
    rows = fetch(
        db,
        "SELECT min(max(cast((reward_mean - ?) / ? AS INTEGER), 0), ?) AS bin, count(*) AS n FROM candidates "  # noqa: S608
        f"WHERE {_E_STEP} AND round_number = ? AND reward_mean IS NOT NULL GROUP BY bin",
        (_LOWEST, width, _BINS - 1, number),
    )
    counts = {row["bin"]: row["n"] for row in rows}
    return [Bin(_LOWEST + place * width, _LOWEST + (place + 1) * width, counts.get(place, 0)) for place in range(_BINS)]


def ranking(db: Database, number: int) -> dict[int, int]:
    """Return the keys of a round's candidates in order, each with its place among those of its role.

    Training candidates come first, then those for held-out tasks; of each the best first, unmeasured ones last.
    """
    found: dict[int, int] = {}
    counts: dict[str, int] = {}
    query = f"SELECT rowid, role FROM candidates WHERE round_number = ? ORDER BY role DESC, {rank_order()}"  # noqa: S608
    for key, role in db.conn.execute(query, (number,)):
        counts[role] = counts.get(role, 0) + 1
        found[int(key)] = counts[role]
    return found


def edited_candidates(db: Database) -> tuple[int, int]:
    """Return how many candidates a person edited, and how many of them are measured.

    If neither changes, the ranking of a finished round does not change either: nothing else is added to it or measured
    again.
    """
    row = db.conn.execute("SELECT count(*), count(reward_mean) FROM candidates WHERE derived_from IS NOT NULL")
    count, measured = row.fetchone()
    return int(count), int(measured)


def ranked_rows(db: Database, keys: Sequence[int]) -> dict[int, RankedCandidate]:
    """Return the rows of some keys, by key; at most some hundred at a time."""
    marks = ", ".join("?" for _ in keys)
    found = fetch(
        db,
        "SELECT candidates.rowid AS key, candidates.id, role, tasks.title, state, reward_mean, "  # noqa: S608
        f"{KNOWN_SPREAD} AS reward_std, audit_gain, "
        "derived_from FROM candidates JOIN tasks ON tasks.id = candidates.task_id "
        f"WHERE candidates.rowid IN ({marks})",
        list(keys),
    )
    return {row["key"]: RankedCandidate(**row) for row in found}


def kept_ids(current: Round) -> frozenset[str]:
    """Return the candidates that the policy was trained on; empty while that is not known."""
    summary = summary_of(current)
    return frozenset() if summary is None else frozenset(summary.kept)


def _line(current: Round, figures: dict[str, Any]) -> RoundLine:
    summary = summary_of(current)
    held_out = HeldOutFigures() if summary is None else summary.held_out
    return RoundLine(
        number=current.number,
        state=current.state,
        imported=current.imported,
        seed=current.seed,
        tasks=len(_chosen(current, "train")) or figures.get("tasks", 0),
        held_out_tasks=len(_chosen(current, "held_out")),
        candidates=figures.get("candidates", 0),
        kept=None if summary is None else len(summary.kept),
        refused=figures.get("refused", 0),
        mean_reward=figures.get("mean_reward"),
        best_reward=figures.get("best_reward"),
        held_out_before=None if held_out.before is None else held_out.before.accuracy,
        held_out_after=None if held_out.after is None else held_out.after.accuracy,
        live_version=current.live_version,
        policy_version=current.policy_version,
        new_policy_version=current.new_policy_version,
        started_at=current.started_at,
        finished_at=current.finished_at,
        duration_s=None if current.imported else _seconds(current.started_at, current.finished_at),
        racing=None if summary is None else summary.racing,
    )


def _chosen(current: Round, role: str) -> list[str]:
    return list((current.settings.get("chosen_tasks") or {}).get(role, []))


def _counted(db: Database, query: str, number: int) -> dict[str, int]:
    return {str(name): int(count) for name, count in db.conn.execute(query, (number,))}


def _questions(db: Database, task_ids: Sequence[str]) -> int:
    found = 0
    for task_id in task_ids:
        found += int(fetch_value(db, "SELECT count(*) FROM questions WHERE task_id = ?", (task_id,)))
    return found


def _seconds(start: str, end: str | None) -> float | None:
    if end is None:
        return None
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
