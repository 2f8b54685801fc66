"""Small tasks of lm-evaluation-harness on files of their own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

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


def write_task(folder: Path, documents: list[dict[str, Any]] | None = None, /, **task: Any) -> Path:
    """Write a task file with its data, and return its path; a key that is None is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    data = DOCUMENTS if documents is None else documents
    (folder / "facts.jsonl").write_text("".join(json.dumps(one) + "\n" for one in data))
    (folder / "examples.jsonl").write_text("".join(json.dumps({**one, "q": "What else?"}) + "\n" for one in DOCUMENTS))
    keys = {key: value for key, value in task.items() if value is not None}
    (folder / "facts.yaml").write_text(yaml.safe_dump(keys, sort_keys=False))
    return folder / "facts.yaml"
