"""A small task of lm-evaluation-harness on files of its own, and a suite that names it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from store.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

WRITTEN: dict[str, Any] = {
    "task": "facts",
    "dataset_path": "json",
    "dataset_kwargs": {"data_files": {"test": "facts.jsonl", "train": "examples.jsonl"}},
    "test_split": "test",
    "output_type": "generate_until",
    "doc_to_text": "Question: {{q}}\nAnswer:",
    "doc_to_target": "a",
    "generation_kwargs": {"until": ["\n"], "do_sample": False},
}
CHOSEN: dict[str, Any] = {
    **{key: value for key, value in WRITTEN.items() if key != "generation_kwargs"},
    "output_type": "multiple_choice",
    "doc_to_choice": "{{options}}",
    "doc_to_target": "right",
}
DOCUMENTS = [
    {"q": f"What is number {number}?", "a": f"n{number}", "options": ["blue", "dark green", "red"], "right": number % 3}
    for number in range(12)
]


def write_task(folder: Path, documents: list[dict[str, Any]] | None = None, /, **task: Any) -> Workspace:
    """Write a task with its data, and a suite that names it; a key that is None is left out."""
    workspace = Workspace(folder)
    workspace.retention_folder.mkdir(exist_ok=True)
    task_folder = folder / "benchmarks"
    task_folder.mkdir(exist_ok=True)
    data = DOCUMENTS if documents is None else documents
    (task_folder / "facts.jsonl").write_text("".join(json.dumps(one) + "\n" for one in data))
    (task_folder / "examples.jsonl").write_text(
        "".join(json.dumps({**one, "q": "What else?"}) + "\n" for one in DOCUMENTS)
    )
    keys = {key: value for key, value in task.items() if value is not None}
    (task_folder / "facts.yaml").write_text(yaml.safe_dump(keys, sort_keys=False))
    write_suite(workspace)
    return workspace


def write_suite(workspace: Workspace, **keys: Any) -> None:
    """Write the suite that names the task."""
    suite = {"suite": "facts", "lm_eval": "../benchmarks/facts.yaml", **keys}
    (workspace.retention_folder / "facts.yaml").write_text(yaml.safe_dump(suite, sort_keys=False))
