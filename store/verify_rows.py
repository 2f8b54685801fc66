"""The part of `verify` that looks at SQLite: its own checks, the event chain, rows against their events."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from store.alarms import RoundMeasures, clearings, list_alarms
from store.answers import answer_as_hashed
from store.candidate_states import ALLOWED_MOVES, STATE_OF_ACTION, decided_state
from store.candidates import hash_exam, hash_proposal, list_candidates
from store.database import fetch, snapshot
from store.errors import SealError
from store.events import events_after, verify_chain
from store.hashing import hash_json
from store.jobs import JOB_CHANGES, hash_job, list_jobs
from store.purging import PURGED_KIND, answer_key
from store.records import (
    Answer,
    CandidateState,
    Decision,
    Drift,
    Event,
    PolicyVersion,
    RetentionAnswer,
    SuiteNoise,
    Version,
)
from store.retention import retention_answer_as_hashed
from store.rounds import hash_start, list_rounds, outcome_of
from store.rows import from_row, select, to_row
from store.tasks import get_task, hash_task, list_documents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sqlite_utils import Database

_DECIDED_KINDS = ("candidate.accepted", "candidate.rejected", "candidate.deferred", "candidate.undone")
_ALL_MEASURES = "SELECT * FROM round_measures"
# Workspaces made before migration 0009 have events called "request.…".
_JOB_KINDS = tuple(f"{prefix}.{change}" for prefix in ("job", "request") for change in JOB_CHANGES)


def check_database(db: Database) -> tuple[int, list[str]]:
    """Run SQLite's own checks of its file and of all foreign keys."""
    problems = [
        f"database: {row['integrity_check']}"
        for row in fetch(db, "PRAGMA integrity_check")
        if row["integrity_check"] != "ok"
    ]
    problems += [
        f"database: row {row['rowid']} of {row['table']} points to a missing row of {row['parent']}"
        for row in fetch(db, "PRAGMA foreign_key_check")
    ]
    return 1, problems


def check_events(db: Database) -> tuple[int, list[str]]:
    """Recompute the event chain."""
    count = fetch(db, "SELECT count(*) AS n FROM events")[0]["n"]
    bad = verify_chain(db)
    return count, [] if bad is None else [f"events: event {bad} is changed, missing or out of place"]


def check_recorded_rows(db: Database) -> tuple[int, list[str]]:
    """Compare rows (tasks, rounds, candidates, decisions, versions, moves, jobs) with the events about them."""
    counts = 0
    problems: list[str] = []
    with snapshot(db):
        recorded = _RecordedHashes(db)
        for check, subject in _SUBJECTS.items():
            try:
                count, found = check(db, recorded)
            except (SealError, sqlite3.DatabaseError, ValueError, KeyError, TypeError, IndexError) as error:
                count, found = 0, [f"{subject}: cannot be compared with the events: {error}"]
            counts += count
            problems += found
    return counts, problems


class _RecordedExam(NamedTuple):
    """The outcome of an evaluation and the hash of all its measurements."""

    state: CandidateState
    hash: str


class _RecordedHashes:
    """Hashes that the event log records for stored rows."""

    def __init__(self, db: Database) -> None:
        self.documents: dict[str, str] = {}
        self.tasks: dict[str, str] = {}
        self.round_starts: dict[int, str] = {}
        self.round_outcomes: dict[int, dict[str, Any]] = {}
        self.base_answers: dict[tuple[str, str, str, str], str] = {}
        self.retention_answers: dict[tuple[str, str], str] = {}
        self.drift: dict[tuple[str, str], str] = {}
        self.noise: dict[tuple[str, str], str] = {}
        self.round_measures: dict[int, str] = {}
        self.alarms: dict[int, str] = {}
        self.clearings: list[dict[str, Any]] = []
        self.proposals: dict[str, str] = {}
        self.exams: dict[str, _RecordedExam] = {}
        self.decisions: list[dict[str, Any]] = []
        self.versions: list[dict[str, Any]] = []
        self.policies: list[dict[str, Any]] = []
        self.moves: dict[int, dict[str, Any]] = {}
        self.jobs: dict[int, str] = {}
        self.purged: dict[str, dict[str, tuple[str, str]]] = defaultdict(dict)
        readers: dict[str, Callable[[dict[str, Any]], None]] = {
            "documents.added": lambda payload: self.documents.update(payload["hashes"]),
            "round.started": lambda payload: self.round_starts.update({payload["number"]: payload["hash"]}),
            "round.finished": lambda payload: self.round_outcomes.update({payload["number"]: payload["outcome"]}),
            "base.examined": lambda payload: self.base_answers.update(
                {
                    (payload.get("base", ""), payload.get("form", ""), *key): found
                    for key, found in _hashes_by_state(payload).items()
                }
            ),
            "retention.examined": lambda payload: self.retention_answers.update(_hashes_by_state(payload)),
            "drift.measured": lambda payload: self.drift.update(
                {(payload["model_state"], payload["anchors_hash"]): payload["hash"]}
            ),
            "noise.measured": lambda payload: self.noise.update(
                {(payload["prompts_hash"], payload["conditions_hash"]): payload["hash"]}
            ),
            "round.measured": lambda payload: self.round_measures.update({payload["number"]: payload["hash"]}),
            "alarm.raised": lambda payload: self.alarms.update({payload["id"]: payload["hash"]}),
            "alarm.cleared": lambda payload: self.clearings.append(payload["clearing"]),
            "tasks.added": lambda payload: self.tasks.update(payload["hashes"]),
            "candidates.added": lambda payload: self.proposals.update(payload["hashes"]),
            "candidate.examined": self._read_exam,
            "policy.added": lambda payload: self.policies.append(payload["policy"]),
            "live.moved": lambda payload: self.moves.update({payload["number"]: payload["move"]}),
        }
        for event in _all_events(db):
            if event.kind in _DECIDED_KINDS:
                self.decisions.append(event.payload["decision"])
            if event.kind == "candidate.accepted":
                self.versions.append(event.payload["version"])
            if event.kind in _JOB_KINDS:
                self.jobs[event.payload["id"]] = event.payload["hash"]
            if event.kind in readers:
                readers[event.kind](event.payload)
            if event.kind == PURGED_KIND:
                for kind, rows in event.payload["hashes"].items():
                    for key, (before, after) in rows.items():
                        first, last = self.purged[kind].get(key, (before, before))
                        # Several purges may take text out of one row; only an unbroken chain reaches back to its event.
                        self.purged[kind][key] = (first if last == before else before, after)

    def before_purge(self, kind: str, key: str, row_hash: str) -> str:
        """Return the hash that a row had before its text was purged, if it is as the purge left it; else its hash."""
        before, after = self.purged[kind].get(key, (row_hash, row_hash))
        return before if row_hash == after else row_hash

    def _read_exam(self, payload: dict[str, Any]) -> None:
        self.exams[payload["id"]] = _RecordedExam(payload["state"], payload["hash"])


def _hashes_by_state(payload: dict[str, Any]) -> dict[tuple[str, str], str]:
    return {(payload["model_state"], asked): found for asked, found in payload["hashes"].items()}


def _all_events(db: Database) -> Iterator[Event]:
    after = 0
    while batch := events_after(db, after):
        yield from batch
        after = batch[-1].sequence


def _check_documents(db: Database, recorded: _RecordedHashes) -> tuple[int, list[str]]:
    stored = {
        document.id: recorded.before_purge("document", document.id, hash_json(to_row(document)))
        for document in list_documents(db)
    }
    return len(stored), _compare_hashes("document", stored, recorded.documents)


def _check_rounds(db: Database, recorded: _RecordedHashes) -> tuple[int, list[str]]:
    rounds = list_rounds(db)
    problems = _compare_hashes("round", {r.number: hash_start(r) for r in rounds}, recorded.round_starts)
    for current in rounds:
        expected = recorded.round_outcomes.get(current.number)
        is_finished = current.finished_at is not None
        if is_finished != (expected is not None) or (is_finished and outcome_of(current) != expected):
            problems.append(f"round {current.number}: its outcome is not the one that was recorded")
    return len(rounds), problems


def _check_base_answers(db: Database, recorded: _RecordedHashes) -> tuple[int, list[str]]:
    answers = select(db, Answer, "SELECT * FROM answers WHERE candidate_id IS NULL")
    stored = {
        (
            answer.base_fingerprint or "",
            answer.form or "",
            answer.model_state,
            answer.question_id,
        ): recorded.before_purge("answer", answer_key(answer), hash_json(answer_as_hashed(answer)))
        for answer in answers
    }
    return len(stored), _compare_hashes("answer without a candidate", stored, recorded.base_answers)


def _check_retention(db: Database, recorded: _RecordedHashes) -> tuple[int, list[str]]:
    answers = select(db, RetentionAnswer, "SELECT * FROM retention_answers")
    stored = {
        (answer.model_state, answer.prompt_hash): hash_json(retention_answer_as_hashed(answer)) for answer in answers
    }
    measured = select(db, Drift, "SELECT * FROM drift")
    drift = {(one.model_state, one.anchors_hash): hash_json(to_row(one)) for one in measured}
    floors = select(db, SuiteNoise, "SELECT * FROM suite_noise")
    noise = {(one.prompts_hash, one.conditions_hash): hash_json(to_row(one)) for one in floors}
    problems = _compare_hashes("retention answer", stored, recorded.retention_answers)
    problems += _compare_hashes("drift", drift, recorded.drift)
    problems += _compare_hashes("noise floor", noise, recorded.noise)
    return len(stored) + len(drift) + len(noise), problems


def _check_alarms(db: Database, recorded: _RecordedHashes) -> tuple[int, list[str]]:
    measured = {
        one.round_number: recorded.before_purge("measures", str(one.round_number), hash_json(to_row(one)))
        for one in select(db, RoundMeasures, _ALL_MEASURES)
    }
    alarms = {
        alarm.id: recorded.before_purge("alarm", str(alarm.id), hash_json(to_row(alarm))) for alarm in list_alarms(db)
    }
    cleared = [to_row(one) for one in clearings(db).values()]
    problems = _compare_hashes("measures of round", measured, recorded.round_measures)
    problems += _compare_hashes("alarm", alarms, recorded.alarms)
    problems += _compare_rows("alarm_clearings", cleared, recorded.clearings)
    return len(measured) + len(alarms) + len(cleared), problems


def _check_tasks(db: Database, recorded: _RecordedHashes) -> tuple[int, list[str]]:
    tasks = [get_task(db, row["id"]) for row in fetch(db, "SELECT id FROM tasks")]
    stored = {task.id: recorded.before_purge("task", task.id, hash_task(task)) for task in tasks}
    return len(stored), _compare_hashes("task", stored, recorded.tasks)


def _check_candidates(db: Database, recorded: _RecordedHashes) -> tuple[int, list[str]]:
    candidates = list_candidates(db)
    decided: dict[str, list[Decision]] = defaultdict(list)
    for row in recorded.decisions:
        decided[row["candidate_id"]].append(from_row(Decision, row))
    proposals = {
        candidate.id: recorded.before_purge("candidate", candidate.id, hash_proposal(candidate))
        for candidate in candidates
    }
    problems = _compare_hashes("candidate", proposals, recorded.proposals)
    for candidate in candidates:
        name = f"candidate {candidate.id}"
        exam = recorded.exams.get(candidate.id)
        if exam is not None and recorded.before_purge("exam", candidate.id, hash_exam(db, candidate)) != exam.hash:
            problems.append(f"{name}: its figures, answers or gates are not those that were recorded")
        expected = decided_state(decided[candidate.id], exam.state if exam else "proposed")
        if candidate.state != expected:
            problems.append(f"{name}: it is {candidate.state}, the event log says {expected}")
    return len(candidates), problems


def _check_decisions(db: Database, recorded: _RecordedHashes) -> tuple[int, list[str]]:
    stored = [to_row(decision) for decision in select(db, Decision, "SELECT * FROM decisions ORDER BY id")]
    problems = _compare_rows("decisions", stored, recorded.decisions)
    if not problems and stored != recorded.decisions:
        problems.append("decisions: they are not in the order of the event log")
    return len(stored), problems + _check_paths(db, recorded)


def _check_paths(db: Database, recorded: _RecordedHashes) -> list[str]:
    """Replay the decisions about each candidate: one that a gate refused cannot have been accepted."""
    decided: dict[str, list[Decision]] = defaultdict(list)
    problems = []
    for row in recorded.decisions:
        decision = from_row(Decision, row)
        exam = recorded.exams.get(decision.candidate_id)
        before = decided_state(decided[decision.candidate_id], exam.state if exam else "proposed")
        decided[decision.candidate_id].append(decision)
        after = STATE_OF_ACTION.get(decision.action)
        if after is not None and after not in ALLOWED_MOVES[before]:
            problems.append(
                f"candidate {decision.candidate_id}: it became {after} at {decision.decided_at}, "
                f"which is not possible for a candidate that is {before}"
            )
    imported = {row["id"] for row in fetch(db, "SELECT id FROM candidates WHERE imported = 1")}
    return problems + [
        f"candidate {one}: it is imported, but there are decisions about it" for one in imported & decided.keys()
    ]


def _check_versions(db: Database, recorded: _RecordedHashes) -> tuple[int, list[str]]:
    stored = [to_row(version) for version in select(db, Version, "SELECT * FROM versions ORDER BY number")]
    problems = _compare_rows("versions", stored, recorded.versions)
    for version in stored:
        (found,) = fetch(
            db, "SELECT adapter_hash, live_version FROM candidates WHERE id = ?", (version["candidate_id"],)
        ) or [{}]
        if found.get("adapter_hash") != version["adapter_hash"]:
            problems.append(f"{version['tag']}: its adapter is not the one that its candidate was examined with")
        if found.get("live_version") != version["parent_number"]:
            problems.append(f"{version['tag']}: its parent is not the version that its candidate was trained on")
    return len(stored), problems


def _check_policies(db: Database, recorded: _RecordedHashes) -> tuple[int, list[str]]:
    stored = [to_row(policy) for policy in select(db, PolicyVersion, "SELECT * FROM policy_versions ORDER BY number")]
    return len(stored), _compare_rows("policy_versions", stored, recorded.policies)


def _check_moves(db: Database, recorded: _RecordedHashes) -> tuple[int, list[str]]:
    stored = {row.pop("id"): row for row in fetch(db, "SELECT * FROM moves WHERE name = 'live' ORDER BY id")}
    problems = [
        f"moves: move {number} and the event log differ"
        for number in sorted(stored.keys() | recorded.moves.keys())
        if stored.get(number) != recorded.moves.get(number)
    ]
    return len(stored), problems


def _check_jobs(db: Database, recorded: _RecordedHashes) -> tuple[int, list[str]]:
    stored = {job.id: recorded.before_purge("job", str(job.id), hash_job(job)) for job in list_jobs(db)}
    return len(stored), _compare_hashes("job", stored, recorded.jobs)


def _compare_hashes(what: str, stored: Mapping[Any, str], recorded: Mapping[Any, str]) -> list[str]:
    problems = [
        f"{what} {key}: its row is not the one that was added"
        for key, found in stored.items()
        if found != recorded.get(key)
    ]
    return problems + [f"{what} {key}: its row is missing" for key in recorded if key not in stored]


def _compare_rows(table: str, stored: list[dict[str, Any]], expected: list[dict[str, Any]]) -> list[str]:
    def key(row: dict[str, Any]) -> tuple[tuple[str, str], ...]:
        return tuple(sorted((name, repr(value)) for name, value in row.items()))

    stored_keys, expected_keys = Counter(map(key, stored)), Counter(map(key, expected))
    problems = [f"{table}: the row {dict(row)} is in no event" for row in stored_keys - expected_keys]
    return problems + [
        f"{table}: the row {dict(row)} of the event log is missing" for row in expected_keys - stored_keys
    ]


_SUBJECTS = {
    _check_documents: "documents",
    _check_tasks: "tasks",
    _check_rounds: "rounds",
    _check_candidates: "candidates",
    _check_base_answers: "answers without a candidate",
    _check_retention: "retention answers",
    _check_alarms: "alarms",
    _check_decisions: "decisions",
    _check_versions: "versions",
    _check_policies: "policy versions",
    _check_moves: "moves",
    _check_jobs: "jobs",
}
