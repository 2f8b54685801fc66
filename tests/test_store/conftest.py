"""A workspace with one task, and a short way to propose, examine and accept candidates in it."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import save

from store import versions
from store.adapter_files import hash_adapter
from store.candidates import add_candidates, record_examined
from store.clock import utc_now
from store.database import open_database
from store.records import Answer, Candidate, GateResult, InnerUpdate, Question, Role, Split, Task, Version
from store.rounds import open_round, start_round
from store.tasks import add_tasks
from store.version_rows import live_version
from store.workspace import Workspace, create_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlite_utils import Database

BASE = {"name": "tiny", "config_hash": "sha256:" + "1" * 64, "weights_hash": "sha256:" + "2" * 64}


def make_adapter(seed: int) -> dict[str, bytes]:
    """Return a small random adapter's two files."""
    generator = np.random.default_rng(seed)
    tensors = {
        f"base_model.model.layers.{layer}.q_proj.lora_{part}.weight": generator.standard_normal((4, 8)).astype(kind)
        for layer in range(2)
        for part, kind in (("A", np.float32), ("B", np.float16))
    }
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"]}
    return {"adapter_config.json": json.dumps(config).encode(), "adapter_model.safetensors": save(tensors)}


def make_task(number: int = 1) -> Task:
    task_id = f"sha256:{number:064x}"
    splits: tuple[Split, Split] = ("reward", "audit")
    questions = [
        Question(f"{task_id}/q{i}", task_id, i, f"What is {i}?", [str(i), "∅"], "exact", {"case": False}, splits[i % 2])
        for i in range(4)
    ]
    return Task(task_id, f"Acme {number}", "Acme ships in 30 days.", "acme.md", utc_now(), questions=questions)


@dataclass
class Lab:
    """A workspace under test."""

    workspace: Workspace
    db: Database
    task: Task
    proposed: int = 0
    adapters: dict[str, dict[str, bytes]] = field(default_factory=dict)

    @classmethod
    def begin(cls, workspace: Workspace, db: Database) -> Lab:
        task = make_task()
        add_tasks(db, [task])
        return cls(workspace, db, task)

    def propose(self, role: Role = "train") -> Candidate:
        live = live_version(self.db)
        current = open_round(self.db) or start_round(
            self.db, seed=7, settings={"k": 5}, live_version=live, policy_version=None
        )
        self.proposed += 1
        candidate = Candidate(
            id=f"sha256:{self.proposed + 0xC00000:064x}",
            round_number=current.number,
            task_id=self.task.id,
            position=self.proposed,
            role=role,
            edit_format="implications",
            prompt="List implications\x1b]0;x\x07 of the passage.",
            completion="# Not a heading\n1. Acme ships in 30 days.",
            sampling={"temperature": 1.0},
            seed=self.proposed,
            state="proposed",
            created_at=utc_now(),
            sequences=["Acme\n1. Acme ships in 30 days.", "Acme\nAcme ships in 30 days."],
            live_version=live,
        )
        add_candidates(self.db, [candidate])
        return candidate

    def examine(self, candidate: Candidate, *, passed: bool = True) -> Candidate:
        files = make_adapter(candidate.seed)
        adapter_hash = hash_adapter(files)
        self.adapters[candidate.id] = files
        update = InnerUpdate(candidate.id, 0, 3, {"lr": 1e-3}, 10, 200, 0.5, [2.0, 1.0], adapter_hash, utc_now())
        answers = [
            Answer(question.id, candidate.id, 0, "after", adapter_hash, "30 days", 1.0, True)
            for question in self.task.questions
        ]
        gate = GateResult(candidate.id, "audit", passed, {"gain": 0.5}, utc_now())
        return record_examined(
            self.db,
            candidate.id,
            updates=[update],
            answers=answers,
            gates=[gate],
            reward_mean=0.5,
            reward_std=0.1,
            audit_gain=0.25,
            adapter_hash=adapter_hash,
        )

    def examined(self) -> Candidate:
        return self.examine(self.propose())

    def accept(self, candidate: Candidate | None = None, **more: Any) -> Version:
        candidate = candidate or self.examined()
        files = self.adapters[candidate.id]
        words: dict[str, Any] = {"actor": "Ada", "reason": "good", **more}
        return versions.accept(self.workspace, self.db, candidate.id, files, BASE, **words)


@pytest.fixture(scope="session")
def new_workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace to copy: making one takes longer than a copy."""
    return create_workspace(tmp_path_factory.mktemp("new") / "w", "model: bundled\n")


@pytest.fixture
def workspace(new_workspace: Workspace, tmp_path: Path) -> Workspace:
    shutil.copytree(new_workspace.root, tmp_path / "w")
    return Workspace(tmp_path / "w")


@pytest.fixture
def db(workspace: Workspace) -> Iterator[Database]:
    opened = open_database(workspace.database_file)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def make_lab() -> type[Lab]:
    return Lab


@pytest.fixture
def lab(workspace: Workspace, db: Database) -> Lab:
    return Lab.begin(workspace, db)
