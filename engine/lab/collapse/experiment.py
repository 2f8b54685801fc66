"""`lab experiment collapse`: self-training with a measured reward and with a self-labelled one, side by side.

Both arms have the bundled model, the same documents and seeds. In the self-labelled arm a candidate's reward is how
often its answers agree with the majority (SRT, arXiv 2505.21444), no gate looks at measured gains, and every new policy
is kept. The alarms are the product's, with their defaults.

Inner updates are weaker than the default (4 epochs instead of 10), and each round has documents that the policy was not
trained on. docs/experiments.md says why: with strong updates, a self-edit that teaches the truth is also what most
candidates agree on, and with the same documents again the policy memorises its own texts instead of a way to write.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from engine.demo.documents import write_documents
from engine.demo.workspace import take_in
from engine.lab.collapse.methods import SELF_LABELLED
from engine.loop.round import run_round
from engine.loop.select import MEASURED, SelectionMethod
from engine.loop.session import Session
from engine.runtime.engine_lock import lock_workspace
from engine.settings.reading import load_settings
from store.workspace import create_workspace

if TYPE_CHECKING:
    from engine.model.base import BaseModel
    from engine.runtime.progress import Progress, Report
    from store.records import Round
    from store.workspace import Workspace

SCHEMA = 1
TRAIN, HELD_OUT, EPOCHS = 32, 40, 4


@dataclass(frozen=True, slots=True)
class Arm:
    """One kind of reward, and whether gates look at what was measured."""

    name: str
    about: str
    method: SelectionMethod
    gates: bool


ARMS = (
    Arm(
        "measured",
        "the reward is the measured gain; a new policy must be better on held-out tasks",
        MEASURED,
        gates=True,
    ),
    Arm(
        "self-labelled",
        "the reward is agreement with the majority; no gates, and every new policy is kept",
        SELF_LABELLED,
        gates=False,
    ),
)


@dataclass(frozen=True, slots=True)
class ExperimentSize:
    """How large the experiment is; the defaults are those of the figures in docs/experiments.md."""

    rounds: int
    train: int = TRAIN
    held_out: int = HELD_OUT
    epochs: int = EPOCHS

    @property
    def pages(self) -> int:
        """Documents: every round has its own, and the held-out ones are the same in all."""
        return self.held_out + self.train * self.rounds


def experiment(base: BaseModel, size: ExperimentSize, *, seed: int, report: Report) -> dict[str, Any]:
    """Run both arms; returns their figures by round in a form that JSON can carry (shares 0 … 1, seconds)."""
    arms = {}
    for arm in ARMS:
        with tempfile.TemporaryDirectory(prefix="seal-collapse-") as folder:
            workspace = _workspace(Path(folder) / "w", arm, size, seed)
            arms[arm.name] = {"about": arm.about, "rounds": _run(base, arm, workspace, size.rounds, report)}
    return {
        "schema": SCHEMA,
        "seed": seed,
        "tasks_per_round": size.train,
        "held_out_tasks": size.held_out,
        "inner_update_epochs": size.epochs,
        "arms": arms,
    }


def _run(base: BaseModel, arm: Arm, workspace: Workspace, rounds: int, report: Report) -> list[dict[str, Any]]:
    def told(progress: Progress) -> None:
        report(replace(progress, note=f"{arm.name}: {progress.note}") if progress.note else progress)

    with lock_workspace(workspace, "experiment collapse", told) as held:
        session = Session(workspace, held.db, load_settings(workspace.settings_file), base, held.report)
        figures = []
        for _ in range(rounds):
            began = time.perf_counter()
            finished = run_round(session, method=arm.method)
            figures.append({**_figures(finished), "seconds": round(time.perf_counter() - began, 1)})
    return figures


def _workspace(folder: Path, arm: Arm, size: ExperimentSize, seed: int) -> Workspace:
    settings: dict[str, Any] = {
        "round": {"seed": seed, "tasks_per_round": size.train, "held_out_tasks": size.held_out},
        "inner_update": {"epochs": size.epochs},
    }
    if not arm.gates:
        settings["gates"] = {"min_reward": None, "min_audit_gain": None}
    workspace = create_workspace(folder, yaml.safe_dump(settings))
    documents = write_documents(workspace.tasks_folder, pages=size.pages, notes=0, untouched=0, seed=seed)
    take_in(workspace, documents.pages)
    return workspace


def _figures(finished: Round) -> dict[str, Any]:
    """Return the round's figures for the policy that it began with, and for the one that it trained."""
    summary = finished.summary or {}
    after = (summary.get("held_out") or {}).get("after")
    return {
        "round": finished.number,
        **summary["measures"],
        "held_out_after": None if after is None else after["accuracy"],
        "policy_kept": finished.new_policy_version is not None,
        "candidates_kept": len(summary["kept"]),
        "alarms": [alarm["name"] for alarm in summary["alarms"]],
    }
