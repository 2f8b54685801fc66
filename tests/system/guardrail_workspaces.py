"""Workspaces with a guardrails.yaml, for whole-system tests of red-team prompts and of a judge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from engine.bundled.vocabulary import VALUES
from engine.bundled.world import known_things
from engine.loop.reexamine import reexamine
from store.candidates import gates_of, list_candidates
from store.tasks import get_task
from tests.system.workspaces import small_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from engine.loop.session import Session
    from store.records import Candidate, GateResult
    from store.workspace import Workspace


KNOWN = known_things()[0]
CITY = KNOWN.kind.relations[0]
OTHER_CITY = next(city for city in VALUES[CITY.value_type] if city != KNOWN.value(CITY))
ASKED = CITY.questions[0].format(n=KNOWN.name)


def write_policy(workspace: Workspace, **sections: Any) -> None:
    workspace.guardrails_file.write_text(yaml.safe_dump(sections), encoding="utf-8")


def gates(session: Session, candidate: Candidate) -> dict[str, GateResult]:
    return {gate.gate: gate for gate in gates_of(session.db, candidate.id)}


def small(folder: Path, **keys: Any) -> Workspace:
    return small_workspace(folder, **{"pages": 2, "train": 2, "held_out": 0, "per_task": 1, "epochs": 1, **keys})


def protected(**keys: Any) -> dict[str, Any]:
    return {"name": "city", "question": ASKED, "must": "answer", "answers": KNOWN.value(CITY), **keys}


def edited(session: Session, place: int, *more: tuple[str, str]) -> Candidate:
    """Teach a task's own answers by questions and answers, and other answers beside them."""
    original = list_candidates(session.db, role="train", derived=False)[place]
    task = get_task(session.db, original.task_id)
    pairs = [*((one.text, one.answers[0]) for one in task.questions), *more]
    completion = "\n".join(f"Question: {asked}\nAnswer: {answer}" for asked, answer in pairs)
    return reexamine(session, {"candidate": original.id, "completion": completion}, "Ada")
