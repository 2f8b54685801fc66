"""Tasks in JSONL: one task a line, with the keys of the YAML form. Empty lines are skipped."""

from __future__ import annotations

from engine.input_files.strict_json import JsonProblemError, parse_strict_json
from engine.tasks.sources import Parsed, TaskSource


def read_jsonl_tasks(text: str, file: str) -> Parsed:
    """Read the tasks of a JSONL file; every line that is no JSON is a problem of its own."""
    found, problems = json_lines(text, file)
    if not found and not problems:
        problems.append(f"{file}: holds no task")
    return Parsed([TaskSource(file, value, {(): line}) for line, value in found], problems)


def json_lines(text: str, file: str) -> tuple[list[tuple[int, object]], list[str]]:
    """Return the values of the lines with their numbers from 1, and what is wrong with other lines."""
    found: list[tuple[int, object]] = []
    problems: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            found.append((number, parse_strict_json(line)))
        except JsonProblemError as error:
            problems.append(f"{file}:{number}: {error.message}")
    return found, problems
