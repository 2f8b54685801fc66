"""`lab bench cuda`: what the engine does on one GPU, in minutes: the bank against PEFT, memory, equality, and a round.

Each part begins only while there is time for it, and the file is written after each, so a machine that is lent for a
quarter of an hour leaves whatever was measured. On a CPU it runs too, if asked to; its figures then say so.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch
import yaml

from engine.bundled import BUNDLED
from engine.demo.documents import write_documents
from engine.demo.workspace import take_in
from engine.lab.bench.inner import InnerBenchEffort, bench_inner
from engine.lab.bench.random_model import RANDOM_100M
from engine.lab.bench.subject import described_environment
from engine.loop.round import run_round
from engine.loop.session import open_session
from store.candidates import inner_updates_of, list_candidates
from store.durable import write_file
from store.errors import WrongUseError
from store.workspace import create_workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SCHEMA = 1
_PAGES, _TRAIN, _HELD_OUT = 16, 8, 4


@dataclass(frozen=True, slots=True)
class CudaBenchSize:
    """How much each part does; `minutes` is when the last part may begin."""

    minutes: float = 9.0
    updates: int = 32
    epochs: int = 2
    rounds: int = 2


def bench_cuda(
    model: str | None,
    *,
    seed: int,
    out: Path,
    size: CudaBenchSize,
    any_device: bool,
    narrate: Callable[[str], None],
) -> dict[str, Any]:
    """Measure every part that there is time for; returns the figures, which are in `out` as well.

    Raises WrongUseError if there is no CUDA device and another one was not allowed.
    """
    if not torch.cuda.is_available() and not any_device:
        raise WrongUseError(
            f"torch {torch.__version__} finds no CUDA device",
            next_step="run it where there is a GPU, or try it with --any-device",
        )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    began = time.perf_counter()
    result: dict[str, Any] = {"schema": SCHEMA, "environment": described_environment(device), "parts": {}}
    for name, measure in _parts(model, seed, size, narrate):
        elapsed = time.perf_counter() - began
        if elapsed > size.minutes * 60:
            narrate(f"{name}: no time left after {elapsed:.0f} s")
            result["parts"][name] = None
            continue
        narrate(f"{name}: begins after {elapsed:.0f} s")
        try:
            result["parts"][name] = measure()
        except (RuntimeError, WrongUseError) as error:  # out of memory, for example: the other parts still count
            result["parts"][name] = {"error": f"{type(error).__name__}: {error}"[:500]}
        result["seconds"] = time.perf_counter() - began
        write_file(out, (json.dumps(result, indent=2) + "\n").encode("utf-8"))
    return result


def _parts(
    model: str | None, seed: int, size: CudaBenchSize, narrate: Callable[[str], None]
) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    effort = InnerBenchEffort(rounds=size.rounds, epochs=size.epochs)
    paths = [RANDOM_100M, *([] if model is None else [model]), BUNDLED]
    for path in paths:
        yield (
            f"inner updates, {Path(path).name}",
            partial(
                bench_inner,
                path,
                seed=seed,
                methods=["bank", "peft"],
                updates=size.updates,
                slots=None,
                precision="float32" if path == BUNDLED else "bfloat16",
                out=None,
                narrate=narrate,
                effort=effort,
            ),
        )
    for path in paths[1:]:
        yield f"round, {Path(path).name}", partial(_round, path, seed, narrate)


def _round(path: str, seed: int, narrate: Callable[[str], None]) -> dict[str, Any]:
    """Time one round over made-up documents; what it learns does not matter here."""
    settings = {
        "model": {"path": path if path == BUNDLED else str(Path(path).resolve())},
        "round": {"seed": seed, "tasks_per_round": _TRAIN, "held_out_tasks": _HELD_OUT, "held_out_edits": 1},
        "gates": {"min_reward": None, "min_audit_gain": None},
    }
    with TemporaryDirectory() as folder:
        workspace = create_workspace(Path(folder) / "w", yaml.safe_dump(settings))
        documents = write_documents(workspace.tasks_folder, pages=_PAGES, notes=0, untouched=0, seed=seed)
        take_in(workspace, documents.pages)
        began = time.perf_counter()
        with open_session(
            workspace, "bench", lambda progress: narrate(progress.note) if progress.note else None
        ) as session:
            loaded = time.perf_counter()
            finished = run_round(session)
            seconds = time.perf_counter() - loaded
            candidates = list_candidates(session.db)
            updates = [update for one in candidates for update in inner_updates_of(session.db, one.id)]
    return {
        "load_seconds": loaded - began,
        "seconds": seconds,
        "candidates": len(candidates),
        "inner_updates": len(updates),
        "trained_tokens": sum(update.trained_tokens for update in updates),
        "policy_was_kept": finished.new_policy_version is not None,
    }
