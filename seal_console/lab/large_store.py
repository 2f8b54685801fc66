"""Makes a workspace with very many candidates and events, and real documents that a round can run on.

The rows are invented but complete: each candidate has an inner update, answers and gates, and the events are chained.
Their round says in its settings that nothing was measured.
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

from engine.demo.workspace import make_demo_workspace, take_in
from engine.trackers.summary import RoundSummary
from store.clock import utc_now
from store.database import fetch, open_database, transaction
from store.events import append_event
from store.hashing import hash_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlite_utils import Database

    from store.workspace import Workspace

_LINES = 4
_STATES = ("examined",) * 7 + ("refused", "rejected", "deferred")
_CANDIDATE = (
    "INSERT INTO candidates (id, round_number, task_id, position, role, edit_format, prompt, completion, sampling, "
    "seed, state, created_at, sequences, live_version, policy_version, reward_mean, reward_std, audit_gain, "
    "adapter_hash, imported) "
    "VALUES (?, 1, ?, ?, 'train', 'implications', ?, ?, '{}', ?, ?, ?, ?, NULL, NULL, ?, ?, ?, ?, 0)"
)
_UPDATE = (
    "INSERT INTO inner_updates (candidate_id, repeat, seed, hyperparameters, steps, trained_tokens, elapsed_s, losses, "
    "finished_at) VALUES (?, 0, ?, '{}', 20, 600, 1.0, ?, ?)"
)
_ANSWER = (
    "INSERT INTO answers (question_id, candidate_id, repeat, phase, model_state, text, score, correct) "
    "VALUES (?, ?, 0, 'after', ?, ?, ?, ?)"
)
_GATE = (
    "INSERT INTO gates (candidate_id, gate, passed, evidence, decided_at) "
    "VALUES (?, 'reward', ?, '{\"must_be_above\":0.0}', ?)"
)


def make_large_store(
    folder: Path, *, candidates: int, events: int, seed: int, narrate: Callable[[str], None]
) -> Workspace:
    """Make the workspace; takes about a minute for 100,000 candidates and a million events."""
    workspace, documents = make_demo_workspace(folder, seed)
    take_in(workspace, documents.pages)
    db = open_database(workspace.database_file)
    try:
        db.conn.execute("PRAGMA synchronous = OFF")  # invented data, made again after a power cut
        narrate(f"writing {candidates:,} candidates")
        with transaction(db):
            _add_candidates(db, candidates, random.Random(seed))
        narrate(f"writing {events:,} events")
        with transaction(db):
            for number in range(events):
                append_event(db, "bench.event", {"number": number, "words": "made for a measurement"})
    finally:
        db.conn.close()
    return workspace


def _add_candidates(db: Database, count: int, rng: random.Random) -> None:
    now = utc_now()
    db.conn.execute(
        "INSERT INTO rounds (number, state, seed, settings, started_at, finished_at, summary, imported) "
        "VALUES (1, 'done', 0, ?, ?, ?, ?, 0)",
        (json.dumps({"made_for": "bench console"}), now, now, json.dumps(RoundSummary(count, [], 0, None).as_json())),
    )
    questions: dict[str, list[str]] = {}
    for row in fetch(db, "SELECT id, task_id FROM questions ORDER BY task_id, position"):
        questions.setdefault(row["task_id"], []).append(row["id"])
    made = list(_candidates(count, questions, rng, now))
    db.conn.executemany(_CANDIDATE, (one["candidate"] for one in made))
    db.conn.executemany(_UPDATE, (one["update"] for one in made))
    db.conn.executemany(_ANSWER, (answer for one in made for answer in one["answers"]))
    db.conn.executemany(_GATE, (one["gate"] for one in made))


def _candidates(count: int, questions: dict[str, list[str]], rng: random.Random, now: str) -> Iterator[dict[str, Any]]:
    tasks = list(questions)
    words = [
        "the",
        "device",
        "is",
        "made",
        "of",
        "oak",
        "in",
        "Oslo",
        "by",
        "Ada",
        "for",
        "30",
        "days",
        "team",
        "Merlin",
    ]
    for number in range(count):
        task = tasks[number % len(tasks)]
        text = "\n".join(" ".join(rng.choices(words, k=9)) for _ in range(_LINES))
        identity = hash_json(["bench", number])
        reward = round(rng.gauss(0.3, 0.3), 4)
        state = rng.choice(_STATES)
        losses = json.dumps([round(4.0 / (1 + step) + rng.random(), 3) for step in range(20)])
        yield {
            "candidate": (
                identity, task, number, "Read this.", text, number, state, now, json.dumps(text.split("\n")), reward,
                0.05, round(rng.gauss(0.2, 0.2), 4), hash_json(["adapter", number]),
            ),
            "update": (identity, number, losses, now),
            "answers": [
                (question, identity, "bench", "oak", float(right), int(right))
                for question in questions[task]
                for right in (rng.random() < reward,)
            ],
            "gate": (identity, int(reward > 0), now),
        }  # fmt: skip
