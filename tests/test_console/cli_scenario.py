"""A workspace for the tests of the command line: tasks, a round, candidates with cached adapters, and a fake engine."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import save

from engine.loop.candidate_cache import keep_adapter
from engine.trackers.summary import HeldOutFigure, HeldOutFigures, PolicyTraining, RoundSummary
from seal_console.cli.main import main
from store.answers import record_base_answers
from store.candidates import add_candidates, record_examined
from store.clock import utc_now
from store.database import open_database
from store.hashing import hash_text
from store.records import Answer, Candidate, GateResult, InnerUpdate, Question, Split, Task
from store.rounds import open_round, start_round
from store.tasks import add_tasks
from store.version_rows import live_version

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from _pytest.capture import CaptureFixture
    from sqlite_utils import Database

    from store.workspace import Workspace

BASE = {"name": "tiny", "fingerprint": "sha256:" + "1" * 64}


@dataclass(frozen=True)
class CliResult:
    """What a call of the command line gave."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass
class CliCaller:
    """Calls the command line in this process."""

    capsys: CaptureFixture[str]
    worker_command: list[str] = field(default_factory=lambda: [sys.executable, "-c", "raise SystemExit('no engine')"])

    def __call__(self, *words: str | Path) -> CliResult:
        self.capsys.readouterr()
        code = main([str(word) for word in words], worker_command=self.worker_command)
        out, err = self.capsys.readouterr()
        return CliResult(code, out, err)


def make_adapter(seed: int) -> dict[str, bytes]:
    generator = np.random.default_rng(seed)
    name = "base_model.model.layers.0.q_proj.lora_{}.weight"
    tensors = {name.format(part): generator.standard_normal((4, 8)).astype(np.float32) for part in "AB"}
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"]}
    return {"adapter_config.json": json.dumps(config).encode(), "adapter_model.safetensors": save(tensors)}


def make_task(title: str = "Returns", text: str = "How long?") -> Task:
    task_id = hash_text(title)
    splits: tuple[Split, Split] = ("reward", "audit")
    questions = [
        Question(f"{task_id}/{split}", task_id, position, f"{text} ({split})", ["30 days"], "exact", {}, split)
        for position, split in enumerate(splits)
    ]
    return Task(task_id, title, "Now 30 days.", "returns.md", utc_now(), questions=questions)


@dataclass
class CandidateMaker:
    """Proposes and examines candidates in a workspace, as a round does."""

    workspace: Workspace
    db: Database
    task: Task
    made: int = 0

    @classmethod
    def begin(cls, workspace: Workspace, task: Task | None = None) -> CandidateMaker:
        db = open_database(workspace.database_file)
        task = task or make_task()
        add_tasks(db, [task])
        before = [Answer(one.id, None, 0, "before", "base", "14 days", 0.0, correct=False) for one in task.questions]
        record_base_answers(db, before)
        return cls(workspace, db, task)

    def examined(
        self, reward: float = 0.5, *, passed: bool = True, completion: str = "Returns take 30 days.", **more: Any
    ) -> Candidate:
        self.made += 1
        live = live_version(self.db)
        current = open_round(self.db) or start_round(
            self.db, seed=0, settings={"base": BASE}, live_version=live, policy_version=None
        )
        fields: dict[str, Any] = {
            "id": f"sha256:{self.made:02x}{'c' * 62}",
            "round_number": current.number,
            "task_id": self.task.id,
            "position": self.made,
            "role": "train",
            "edit_format": "implications",
            "prompt": "List implications.",
            "completion": completion,
            "sampling": {"temperature": 1.0},
            "seed": self.made,
            "state": "proposed",
            "created_at": utc_now(),
            "sequences": [f"{self.task.title}\n{completion}"],
            "live_version": live,
        }
        candidate = Candidate(**{**fields, **more})
        add_candidates(self.db, [candidate])
        return self._examine(candidate, reward, passed=passed)

    def _examine(self, candidate: Candidate, reward: float, *, passed: bool) -> Candidate:
        hashed = keep_adapter(self.workspace, make_adapter(candidate.seed))
        right = reward > 0
        answers = [
            Answer(one.id, candidate.id, 0, "after", hashed, "30 days" if right else "a week", float(right), right)
            for one in self.task.questions
        ]
        update = InnerUpdate(candidate.id, 0, 3, {"rank": 4}, 10, 200, 0.5, [2.0, 1.0], hashed, utc_now())
        return record_examined(
            self.db,
            candidate.id,
            updates=[update],
            answers=answers,
            gates=[GateResult(candidate.id, "reward", passed, {"reward_mean": reward}, utc_now())],
            reward_mean=reward,
            reward_std=0.0,
            audit_gain=0.25,
            adapter_hash=hashed,
        )


_FAKE_HEAD = """\
import json, os, signal, sys, threading, time
from pathlib import Path
def say(**message): print(json.dumps(message), flush=True)
operation, parameters = sys.argv[1], json.loads(sys.stdin.readline())
"""


def fake_worker(folder: Path, body: str) -> list[str]:
    """Write an engine that does what `body` says; return the command that starts it."""
    path = folder / "fake_worker.py"
    path.write_text(_FAKE_HEAD + body, encoding="utf-8")
    return [sys.executable, str(path)]


def round_summary(
    kept: Sequence[str] = (),
    before: float | None = None,
    after: float | None = None,
    policy_training: PolicyTraining | None = None,
) -> dict[str, Any]:
    """Return the summary of a finished round; `before` and `after` are accuracies on held-out tasks."""
    figures = [None if value is None else HeldOutFigure(value, None, "") for value in (before, after)]
    summary = RoundSummary(len(kept), list(kept), 0, None, HeldOutFigures(*figures), policy_training)
    return summary.as_json()
