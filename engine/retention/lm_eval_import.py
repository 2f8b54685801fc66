"""Writes the prompts of a task of lm-evaluation-harness into one suite file.

The harness loads the task and builds the prompts itself, few-shot examples included. It downloads data sets that are
not on this machine and runs the code that comes with a task, so import only tasks you trust. It is an extra; only this
module imports it.

The suite is ordinary from then on: its verdicts are about single answers, so none of its figures is a harness score.
"""

from __future__ import annotations

import json
import logging
import random
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import datasets
from lm_eval.tasks import TaskManager

from engine.graders.registry import check_options, grader_problems
from engine.retention.reading import read_suites
from store.durable import write_file
from store.errors import WrongUseError
from store.hashing import hash_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lm_eval.api.task import ConfigurableTask

# The harness's own seed for the choice of few-shot examples.
_FEWSHOT_SEED = 1234
_FEWEST_CHOICES = 2
_FILTERS_WITHOUT_EFFECT = ("take_first", "remove_whitespace", "lowercase")
_METRICS = {"generate_until": {"exact_match"}, "multiple_choice": {"acc", "acc_norm"}}


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What to import. `path` is a task file, or a folder of task files; None means the harness's own tasks.

    `limit` is the most prompts of each task, `num_fewshot` replaces the task's own number of examples, `grader` grades
    written answers.
    """

    task: str
    path: Path | None = None
    limit: int | None = None
    num_fewshot: int | None = None
    grader: str = "exact"


@dataclass(slots=True)
class ImportedSuite:
    """The lines of a suite file, the documents that were left out and why, and what differs from the harness."""

    prompts: list[dict[str, object]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    notes: dict[str, None] = field(default_factory=dict)


def import_task(request: ImportRequest, out: Path) -> dict[str, object]:
    """Write a suite file and return what it contains; raises WrongUseError if there is nothing to import."""
    problems = check_options(request.grader, {})
    if problems:
        raise WrongUseError(problems[0])
    suite = ImportedSuite()
    # Relative data files of a task are relative to its folder.
    folder = Path.cwd() if request.path is None else request.path if request.path.is_dir() else request.path.parent
    with chdir(folder), _quiet():
        try:
            tasks = _load(request)
            for task in tasks:
                _add_prompts(suite, task, request, group=task.task_name if len(tasks) > 1 else "")
        except WrongUseError:
            raise
        except Exception as error:
            raise WrongUseError(
                f"lm-evaluation-harness cannot load '{request.task}': {type(error).__name__}: {error}",
                next_step="Correct the task, or its data files, and import it again.",
            ) from error
    if not suite.prompts:
        raise WrongUseError(f"'{request.task}' contains no prompt that a suite can hold", problems=suite.left_out[:5])
    header = {"suite": request.task, "group": "", "grader": request.grader, "allowed_losses": None}
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in (header, *suite.prompts))
    with TemporaryDirectory() as scratch:
        trial = Path(scratch) / out.name
        trial.write_text(text, encoding="utf-8")
        read_suites([trial], Path(scratch))
    write_file(out, text.encode("utf-8"))
    return {"prompts": len(suite.prompts), "left_out": suite.left_out, "notes": list(suite.notes)}


def _load(request: ImportRequest) -> list[ConfigurableTask]:
    path = request.path
    if path is None:
        manager, spec = TaskManager(), request.task
    elif path.is_dir():
        manager, spec = TaskManager(include_path=str(path.resolve()), include_defaults=False), request.task
    else:
        manager, spec = TaskManager(include_defaults=False), str(path.resolve())
    if (path is None or path.is_dir()) and request.task not in manager.all_tasks:
        raise WrongUseError(
            f"lm-evaluation-harness has no task '{request.task}'{f' in {path}' if path else ''}",
            next_step="List the tasks with: lm-eval ls tasks",
        )
    tasks: Mapping[str, ConfigurableTask] = manager.load([spec])["tasks"]
    if path is not None and path.is_file() and request.task not in tasks:
        raise WrongUseError(f"{path} holds the task {', '.join(tasks)}, not '{request.task}'")
    return list(tasks.values())


def _add_prompts(suite: ImportedSuite, task: ConfigurableTask, request: ImportRequest, group: str) -> None:
    output_type = str(task.OUTPUT_TYPE)
    if output_type not in _METRICS:
        raise WrongUseError(
            f"'{task.task_name}' has the output type {output_type}; a suite can hold generate_until and multiple_choice"
        )
    suite.notes |= dict.fromkeys(_differences(task, output_type))
    if request.num_fewshot is not None:
        task.set_config("num_fewshot", request.num_fewshot)
    task.set_fewshot_seed(_FEWSHOT_SEED)
    lines: dict[str, dict[str, object]] = {}
    # In the harness's own order, because its choice of examples depends on it; a limit only leaves prompts out.
    for number, document in enumerate(task.eval_docs, start=1):
        try:
            line = _line(task, document, output_type, request.grader)
        except ValueError as error:
            suite.left_out.append(f"{task.task_name}, document {number}: {error}")
        else:
            lines.setdefault(hash_json(line), line)
    drawn = set(sorted(lines)[: request.limit])
    suite.prompts += [{**line, "group": group} if group else line for key, line in lines.items() if key in drawn]


def _line(task: ConfigurableTask, document: object, output_type: str, grader: str) -> dict[str, object]:
    """Return a document as a line of a suite file; raises ValueError if it cannot be a prompt."""
    prompt = task.fewshot_context(
        document, num_fewshot=task.config.num_fewshot or 0, gen_prefix=task.doc_to_prefix(document)
    )
    if not isinstance(prompt, str) or not prompt.strip():
        raise ValueError("it makes no text to continue")
    target = task.doc_to_target(document)
    targets = target if isinstance(target, list) else [target]
    if output_type == "generate_until":
        answers = ["" if answer is None else str(answer).strip() for answer in targets]
        if not answers or not all(answers):
            raise ValueError("it has no answer")
        problems = [problem for _, problem in grader_problems(grader, {}, answers)]
        if problems:
            raise ValueError(problems[0])
        return {"prompt": prompt, "answers": answers}
    choices = task.doc_to_choice(document)
    if len(choices) < _FEWEST_CHOICES or not all(isinstance(one, str) and one.strip() for one in choices):
        raise ValueError("it has no list of two or more choices")
    return {
        "prompt": prompt,
        "answers": [_chosen(one, choices) for one in targets],
        "choices": choices,
        "delimiter": task.config.target_delimiter,
        "per_character": {"acc_norm"} == _metrics(task) & _METRICS["multiple_choice"],
    }


def _chosen(target: object, choices: Sequence[str]) -> str:
    if isinstance(target, int) and not isinstance(target, bool) and 0 <= target < len(choices):
        return choices[target]
    if isinstance(target, str) and target in choices:
        return target
    raise ValueError(f"its target {target!r} is not one of the choices")


def _metrics(task: ConfigurableTask) -> set[str]:
    return {str(entry.get("metric")) for entry in task.config.metric_list or []}


def _differences(task: ConfigurableTask, output_type: str) -> Iterator[str]:
    """Yield what the harness does for a task and exams do not."""
    unknown = sorted(_metrics(task) - _METRICS[output_type])
    if unknown:
        yield f"metrics that are not used: {', '.join(unknown)}"
    if output_type != "generate_until":
        return
    options = task.config.generation_kwargs or {}
    ends = options.get("until") or []
    if "\n" not in ([ends] if isinstance(ends, str) else ends):
        yield "answers end at the end of their first line here, not at the task's own stop texts"
    if "max_gen_toks" in options:
        yield f"exam.max_new_tokens limits answers here; the task allows {options['max_gen_toks']} tokens"
    filters = {step.get("function") for one in task.config.filter_list or [] for step in one.get("filter", [])}
    unknown = sorted(str(name) for name in filters.difference(_FILTERS_WITHOUT_EFFECT))
    if unknown:
        yield f"filters that are not applied: {', '.join(unknown)}; the grader sees the whole answer"


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the harness's warnings and progress bars out of the engine's output, and its seed out of ours."""
    disabled, state = logging.root.manager.disable, random.getstate()
    datasets.disable_progress_bars()
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        random.setstate(state)
        logging.disable(disabled)
