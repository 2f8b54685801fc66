"""A task file of lm-evaluation-harness as data: what of it suites can ask, or problems that name key and line.

It never loads the harness, opens no data set and uses no network, so it says nothing about the documents themselves.
Whatever of a task cannot be asked as the harness means it is a problem, never passed over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from engine.input_files.located_yaml import YamlProblemError, parse_located_yaml
from engine.input_files.text_files import UnreadableFileError, read_text_file
from engine.retention.answer_part import AnswerPart
from engine.retention.harness_answers import answer_part, metric_problems
from engine.retention.harness_data import data_files
from engine.tasks.drafts import SourceReader, kind_of
from engine.tasks.sources import TaskSource

if TYPE_CHECKING:
    from pathlib import Path

    from engine.retention.harness_data import DataFiles

OutputType = Literal["generate_until", "multiple_choice"]
_PROMPT_KEYS = (
    "task", "training_split", "validation_split", "test_split", "fewshot_split", "doc_to_text", "doc_to_target",
    "doc_to_choice", "description", "target_delimiter", "fewshot_delimiter", "fewshot_config", "num_fewshot",
    "gen_prefix", "output_type",
)  # fmt: skip
_OTHER_KEYS = (
    "dataset_path", "dataset_name", "dataset_kwargs", "metric_list", "generation_kwargs", "filter_list", "repeats",
    "task_alias", "tag", "metadata", "should_decontaminate", "doc_to_decontamination_query",
)  # fmt: skip
_REFUSED = {
    "include": "other files are not read; write their keys here",
    "group": "a group of tasks is no task; write a suite for each of its tasks",
    "class": "code of a task is not run",
    "custom_dataset": "code of a task is not run",
    "process_docs": "code of a task is not run; prepare the data file instead",
    "process_results": "code of a task is not run; answers are judged by the suite's grader",
    "unsafe_code": "code of a task is not run",
    "use_prompt": "prompts from the network are not used; write doc_to_text",
    "doc_to_image": "only texts can be asked",
    "doc_to_audio": "only texts can be asked",
}
_FEWSHOT_KEYS = (
    "sampler", "split", "samples", "fewshot_indices", "doc_to_text", "doc_to_choice", "doc_to_target", "gen_prefix",
    "fewshot_delimiter", "target_delimiter",
)  # fmt: skip
_CODE_TAG = "!function"
_SAMPLERS = ("default", "first_n")


@dataclass(frozen=True, slots=True)
class HarnessTask:
    """A task whose prompts are still to be built. `config` holds the keys of the task file that make prompts."""

    file: str
    config: dict[str, Any] = field(hash=False)
    output_type: OutputType
    data: DataFiles = field(hash=False)
    part: AnswerPart
    per_character: bool


def read_harness_task(path: Path, root: Path | None, *, own_grader: bool) -> tuple[HarnessTask | None, list[str]]:
    """Read a task file; returns None and everything that is wrong with it where it cannot be asked.

    With `own_grader` the suite names how answers are judged, and the task's own metrics do not count.
    """
    try:
        file = read_text_file(path, root)
    except UnreadableFileError as error:
        return None, [str(error)]
    try:
        located = parse_located_yaml(file.text)
    except YamlProblemError as error:
        place = file.name if error.line is None else f"{file.name}:{error.line}"
        calls_code = _CODE_TAG in error.message
        return None, [f"{place}: {f'{_CODE_TAG}: code of a task is not run' if calls_code else error.message}"]
    reader = SourceReader(TaskSource(file.name, located.data, located.lines))
    if not isinstance(located.data, dict):
        reader.report((), f"a task of the harness must be keys with values (is {kind_of(located.data)})")
        return None, reader.problems
    task = _task(reader, located.data, path.parent, own_grader)
    return (None if reader.problems else task), reader.problems


def _task(reader: SourceReader, data: dict[str, Any], folder: Path, own_grader: bool) -> HarnessTask | None:
    _check_keys(reader, data)
    output_type = _output_type(reader, data)
    files = data_files(reader, data, folder)
    _check_prompts(reader, data)
    _check_splits(reader, data, files)
    part = answer_part(reader, data) if output_type == "generate_until" else AnswerPart()
    if output_type is None or files is None:
        return None
    reader.problems += metric_problems(reader.source, data, output_type, own_grader)
    metrics = [entry.get("metric") for entry in data.get("metric_list") or [] if isinstance(entry, dict)]
    per_character = "acc_norm" in metrics and "acc" not in metrics
    config = {key: data[key] for key in _PROMPT_KEYS if key in data}
    return HarnessTask(reader.source.file, config, output_type, files, part, per_character)


def _check_keys(reader: SourceReader, data: dict[str, Any]) -> None:
    for key in data:
        if key in _REFUSED:
            reader.report((key,), f"{key}: {_REFUSED[key]}")
    known = {key: value for key, value in data.items() if key not in _REFUSED}
    reader.unknown_keys(known, (*_PROMPT_KEYS, *_OTHER_KEYS), ())
    if data.get("repeats", 1) != 1:
        reader.report(("repeats",), "repeats: a prompt is asked once; leave the key out")


def _output_type(reader: SourceReader, data: dict[str, Any]) -> OutputType | None:
    match data.get("output_type", "generate_until"):
        case "generate_until":
            if "doc_to_choice" in data:
                reader.report(("doc_to_choice",), "doc_to_choice: only tasks of the type multiple_choice have choices")
            return "generate_until"
        case "multiple_choice":
            if "doc_to_choice" not in data:
                reader.report(("output_type",), "output_type: multiple_choice needs doc_to_choice")
            for key in ("generation_kwargs", "filter_list"):
                if data.get(key) is not None:
                    reader.report((key,), f"{key}: a choice is not written, so nothing ends or filters it")
            return "multiple_choice"
        case other:
            known = "generate_until and multiple_choice"
            reader.report(("output_type",), f"output_type: {other!r} cannot be asked; {known} can")
            return None


def _check_prompts(reader: SourceReader, data: dict[str, Any]) -> None:
    for key in ("doc_to_text", "doc_to_target"):
        if data.get(key) is None:
            reader.report((key,), f"{key} missing")
    for key in ("doc_to_text", "description", "target_delimiter", "fewshot_delimiter", "gen_prefix"):
        if data.get(key) is not None:
            reader.text(data[key], (key,))
    if data.get("doc_to_target") is not None and not isinstance(data["doc_to_target"], str | int):
        reader.report(("doc_to_target",), "doc_to_target must be text or a whole number")
    if "doc_to_choice" in data and not isinstance(data["doc_to_choice"], str | list | dict):
        reader.report(("doc_to_choice",), "doc_to_choice must be text, a list, or keys with values")
    shots = data.get("num_fewshot")
    if shots is not None and (not isinstance(shots, int) or isinstance(shots, bool) or shots < 0):
        reader.report(("num_fewshot",), "num_fewshot must be a whole number")
    _check_fewshot_config(reader, data.get("fewshot_config"))


def _check_fewshot_config(reader: SourceReader, config: object) -> None:
    path = ("fewshot_config",)
    if config is None:
        return
    if not isinstance(config, dict):
        reader.report(path, f"fewshot_config must be keys with values (is {kind_of(config)})")
        return
    reader.unknown_keys(config, _FEWSHOT_KEYS, path)
    if config.get("sampler", "default") not in _SAMPLERS:
        reader.report((*path, "sampler"), f"fewshot_config.sampler must be {' or '.join(_SAMPLERS)}")
    samples = config.get("samples")
    if samples is not None and not (isinstance(samples, list) and all(isinstance(one, dict) for one in samples)):
        reader.report((*path, "samples"), "fewshot_config.samples must be a list of documents")


def _check_splits(reader: SourceReader, data: dict[str, Any], files: DataFiles | None) -> None:
    """Examples must not hold what is asked; the harness sees to that only where both are of the test split."""
    given = [key for key in ("test_split", "validation_split") if data.get(key) is not None]
    if not given:
        reader.report((), "neither test_split nor validation_split; one must say which documents are asked")
    config = data.get("fewshot_config") if isinstance(data.get("fewshot_config"), dict) else {}
    for key in ("training_split", "validation_split", "test_split", "fewshot_split"):
        split = data.get(key)
        if split is not None and files is not None and split not in list(files.by_split):
            reader.report((key,), f"{key}: the data has no split {split!r}; it has {', '.join(files.by_split)}")
    if not given or not data.get("num_fewshot") or (config or {}).get("samples") is not None:
        return
    examples = (config or {}).get("split") or data.get("fewshot_split") or data.get("training_split")
    if examples is None or (examples == data[given[0]] and given[0] != "test_split"):
        reader.report(
            ("num_fewshot",), "num_fewshot: name a fewshot_split that is not the one whose documents are asked"
        )
