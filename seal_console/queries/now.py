"""The data of the first screen: the live version, the engine, the queue, recent events and open problems."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seal_console.queries.guardrails import GuardrailFigures, guardrail_figures
from seal_console.queries.guards import OffSince, guards_off_in
from store.alarms import active_alarms
from store.database import fetch, fetch_value
from store.events import chain_head, events_after
from store.untested import is_untested
from store.version_rows import list_moves, list_policy_versions, live_version
from store.version_tags import live_name, policy_tag

if TYPE_CHECKING:
    from sqlite_utils import Database

    from store.alarms import Alarm
    from store.records import Event, Move
    from store.workspace import Workspace

_EVENTS = 40


@dataclass(frozen=True, slots=True)
class RoundPoint:
    """A round in the plot: mean and best reward of its candidates, and the accuracy on held-out tasks (0 … 1)."""

    number: int
    state: str
    candidates: int
    mean_reward: float | None
    best_reward: float | None
    held_out_before: float | None
    held_out_after: float | None


@dataclass(frozen=True, slots=True)
class Guard:
    """A retention gate in the newest round that used it: how many candidates it passed and stopped.

    Of those that it passed, `untested` were not tested by it.
    """

    gate: str
    round_number: int
    passed: int
    stopped: int
    untested: int


@dataclass(frozen=True, slots=True)
class Overview:
    """The state of a workspace at one moment."""

    live: str
    live_move: Move | None
    policy: str
    counts: dict[str, int]
    tasks: int
    imported: int
    rounds: list[RoundPoint]
    guards: list[Guard]
    policy_gates: GuardrailFigures | None
    alarms: list[Alarm]
    open_round: tuple[int, str] | None
    jobs: list[dict[str, Any]]
    events: list[Event]
    guards_off: list[OffSince]


def overview(workspace: Workspace, db: Database) -> Overview:
    """Read the state of a workspace."""
    moves = [move for move in list_moves(db) if move.name == "live"]
    policies = list_policy_versions(db)
    head, _ = chain_head(db)
    rounds = round_points(db)
    unfinished = [one for one in rounds if one.state in {"running", "interrupted"}]
    return Overview(
        live=live_name(live_version(db)),
        live_move=moves[-1] if moves else None,
        policy=policy_tag(policies[-1].number) if policies else "none yet",
        counts=_counts(db),
        tasks=int(fetch_value(db, "SELECT count(*) FROM tasks WHERE imported = 0")),
        imported=int(fetch_value(db, "SELECT count(*) FROM candidates WHERE imported = 1")),
        rounds=rounds,
        guards=_guards(db),
        policy_gates=guardrail_figures(db),
        alarms=active_alarms(db),
        open_round=(unfinished[-1].number, unfinished[-1].state) if unfinished else None,
        jobs=fetch(db, "SELECT * FROM jobs WHERE state IN ('waiting', 'running') ORDER BY id"),
        events=events_after(db, max(0, head - _EVENTS), _EVENTS)[::-1],
        guards_off=guards_off_in(workspace, db),
    )


def round_points(db: Database) -> list[RoundPoint]:
    """Return every round that is not imported, in order, with the figures that a plot over rounds shows."""
    rows = fetch(
        db,
        "WITH sampled AS ("
        "SELECT round_number, count(reward_mean) AS candidates, avg(reward_mean) AS mean_reward, "
        "max(reward_mean) AS best_reward FROM candidates "
        "WHERE candidates.role = 'train' AND candidates.derived_from IS NULL GROUP BY round_number) "
        "SELECT number, state, coalesce(candidates, 0) AS candidates, mean_reward, best_reward, "
        "json_extract(summary, '$.held_out.before.accuracy') AS held_out_before, "
        "json_extract(summary, '$.held_out.after.accuracy') AS held_out_after "
        "FROM rounds LEFT JOIN sampled ON round_number = number WHERE imported = 0 ORDER BY number",
    )
    return [RoundPoint(**row) for row in rows]


def _guards(db: Database) -> list[Guard]:
    rows = fetch(
        db,
        "WITH spoken AS (SELECT gate, round_number, passed FROM gates "
        "JOIN candidates ON candidates.id = gates.candidate_id "
        "WHERE gate LIKE 'retention:%' OR gate IN ('earlier edits', 'drift')) "
        "SELECT gate, round_number, sum(passed) AS passed, sum(NOT passed) AS stopped FROM spoken AS one "
        "WHERE round_number = (SELECT max(round_number) FROM spoken WHERE spoken.gate = one.gate) "
        "GROUP BY gate, round_number ORDER BY gate",
    )
    return [Guard(**row, untested=_untested(db, row["gate"], row["round_number"])) for row in rows]


def _untested(db: Database, gate: str, round_number: int) -> int:
    """Return how many candidates of a round a gate passed without anything to test."""
    sql = (
        "SELECT evidence FROM gates JOIN candidates ON candidates.id = gates.candidate_id "
        "WHERE gate = ? AND round_number = ? AND passed"
    )
    return sum(is_untested(json.loads(row["evidence"])) for row in fetch(db, sql, (gate, round_number)))


def _counts(db: Database) -> dict[str, int]:
    rows = fetch(db, "SELECT state, count(*) AS n FROM candidates WHERE imported = 0 GROUP BY state")
    return {row["state"]: row["n"] for row in rows}
