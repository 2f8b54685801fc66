"""Reads the suites of a workspace's `retention/` folder: all of them, or none and a list of every problem.

Files end in .yaml, .yml or .jsonl; hidden files and notes (.md, .txt) are passed over. It loads no model, and builds no
prompts of lm-evaluation-harness: those are still to come (`harness_prompts.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.input_files.text_files import UnreadableFileError, read_text_file
from engine.retention.suite_files import parse_suite
from engine.retention.suites import Retention, Suite
from engine.tasks.drafts import question_key
from store.errors import WrongUseError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from store.workspace import Workspace

NOTE_SUFFIXES = (".md", ".txt")


def read_retention(workspace: Workspace) -> Retention:
    """Read every suite of a workspace; raises WrongUseError that lists every problem of all files."""
    return read_suites(_files_below(workspace.retention_folder), workspace.root)


def read_suites(paths: Iterable[Path], root: Path | None = None) -> Retention:
    """Read suites from files; names in messages are relative to `root` where a file lies below it."""
    suites: list[Suite] = []
    problems: list[str] = []
    for path in paths:
        try:
            suite, found = parse_suite(read_text_file(path, root), path, root)
        except UnreadableFileError as error:
            suite, found = None, [str(error)]
        problems += found
        suites += [suite] if suite else []
    problems += _same_names(suites) + asked_in_anchors(suites)
    if problems:
        raise unreadable(problems, "Correct the files, then look with 'seal-console retention check'.")
    return Retention(tuple(suites))


def unreadable(problems: list[str], next_step: str) -> WrongUseError:
    """Return the error for a folder of suites that cannot be used."""
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return WrongUseError(f"No retention suite was read: {count} in retention/", problems=problems, next_step=next_step)


def _files_below(folder: Path) -> list[Path]:
    """Every file but hidden ones and notes: a suite that is misnamed must not be passed over in silence."""
    below = (path for path in folder.rglob("*") if path.is_file() and path.suffix.lower() not in NOTE_SUFFIXES)
    return sorted(path for path in below if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def _same_names(suites: Iterable[Suite]) -> list[str]:
    first: dict[str, str] = {}
    problems = []
    for suite in suites:
        earlier = first.setdefault(suite.name.casefold(), suite.place)
        if earlier != suite.place:
            problems.append(f"{suite.place}: the suite is named '{suite.name}', as that of {earlier} is")
    return problems


def asked_in_anchors(suites: Sequence[Suite]) -> list[str]:
    """Anchors are trained on: a suite that asks what stands in one would measure nothing."""
    trained = {
        question_key(line.strip().removeprefix("Question:")): suite.place
        for suite in suites
        for anchor in suite.anchors
        for line in anchor.splitlines()
    }
    asked = [(prompt, question_key(prompt.text)) for suite in suites for prompt in suite.prompts]
    return [
        f"{prompt.place}: what is asked here stands in an anchor of {trained[key]}, and updates are trained on anchors"
        for prompt, key in asked
        if key in trained
    ]
