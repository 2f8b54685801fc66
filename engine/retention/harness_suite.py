"""The keys of a suite file that name a task of lm-evaluation-harness: `lm_eval` and `limit`.

The task file is read and checked; its prompts are built later, in the engine's process (`harness_prompts.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from engine.graders.registry import check_options
from engine.retention.harness_task import read_harness_task
from engine.retention.suites import HarnessPrompts

if TYPE_CHECKING:
    from pathlib import Path

    from engine.tasks.drafts import SourceReader

LM_EVAL_KEYS = ("lm_eval", "limit")
LIKELIHOOD = "likelihood"


@dataclass(frozen=True, slots=True)
class SuitePath:
    """A suite file's own path, and the folder that names in messages are relative to."""

    path: Path
    root: Path | None


def harness_prompts(
    reader: SourceReader, data: dict[str, Any], at: SuitePath, judged: tuple[str, dict[str, Any]], group: str
) -> HarnessPrompts | None:
    """Return what `lm_eval` names, or None; `judged` is the grader with its options that written answers have."""
    limit = _limit(reader, data)
    if "lm_eval" not in data:
        if "limit" in data:
            reader.report(("limit",), "limit is for the prompts of lm_eval; this suite has none")
        return None
    if "prompts" in data:
        reader.report(("lm_eval",), "has both lm_eval and prompts; give one of the two")
    name = reader.text(data["lm_eval"], ("lm_eval",))
    if find_spec("lm_eval") is None:
        reader.report(("lm_eval",), "lm-evaluation-harness is not installed: pip install 'seal-console[lm-eval]'")
    if not name:
        return None
    task, problems = read_harness_task(at.path.parent / name, at.root, own_grader="grader" in data)
    reader.problems += problems
    grader, options = judged
    if task is None:
        return None
    if task.output_type == "multiple_choice":
        if "grader" in data or "grader_options" in data:
            reader.report(("lm_eval",), "a grader cannot be given: the answers of this task are chosen by likelihood")
        grader, options = LIKELIHOOD, {}
    else:
        reader.problems += [
            f"{reader.source.place(('lm_eval',))}: {problem}" for problem in check_options(grader, options)
        ]
    return HarnessPrompts(task, reader.source.place(("lm_eval",)), limit, grader, options, group)


def _limit(reader: SourceReader, data: dict[str, Any]) -> int | None:
    limit = data.get("limit")
    if limit is None or (isinstance(limit, int) and not isinstance(limit, bool) and limit > 0):
        return limit
    reader.report(("limit",), f"limit must be a whole number of prompts above 0; it is {limit!r}")
    return None
