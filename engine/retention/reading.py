"""Reads the suites of a workspace's `retention/` folder: all of them, or an error that lists every problem.

YAML holds one suite: `suite`, `group`, `grader`, `grader_options` and `allowed_losses` for all its `prompts`, and
`anchors`. JSONL holds a prompt or an anchor a line; its first line may hold the suite's own keys. Texts are taken as
they are written, as in task files. Hidden files and notes (.md, .txt) are skipped. No model is loaded.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, PlainValidator, TypeAdapter

from engine.graders.registry import DEFAULT_GRADER
from engine.input_files.input_model import FilledText, GraderOptions, InputModel, Switch, Text, Texts, plain, short_line
from engine.input_files.located_yaml import Path as KeyPath
from engine.input_files.located_yaml import YamlProblemError, parse_located_yaml
from engine.input_files.strict_json import parse_json_lines
from engine.input_files.text_files import TextFile, UnreadableFileError, read_text_file
from engine.input_files.validation import (
    InputReader,
    LocatedData,
    in_file_order,
    located_data,
    valid_values,
    value_shown,
    yaml_problem,
)
from engine.retention.suites import LIKELIHOOD, Choices, Retention, RetentionPrompt, Suite
from engine.tasks.task_input import QuestionOrPrompt, question_key, report_grader
from store.errors import WrongUseError
from store.wording import counted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from store.workspace import Workspace

SUITE_SUFFIXES = (".yaml", ".yml", ".jsonl")
NOTE_SUFFIXES = (".md", ".txt")
_LONGEST_NAME = 80
_ENTRIES = ("prompts", "anchors", "anchor_prompts")
_MOST_LOSSES = 1_000_000
_ANCHOR: TypeAdapter[str] = TypeAdapter(FilledText)


def _allowed_losses(written: object) -> object:
    value = plain(written)
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_LOSSES
    if value is None or is_count or (isinstance(value, float) and 0 <= value <= 1):
        return value
    expected = "a whole number of prompts, or a share of them with a decimal point, 0.0 … 1.0"
    raise ValueError(f"must be {expected} (is {value_shown(value)})")


class SuiteInput(InputModel):
    """A suite in a file; its prompts, anchors and anchor prompts are validated one by one."""

    suite: Annotated[FilledText, short_line(_LONGEST_NAME)] = ""
    group: Text = ""
    grader: Text = DEFAULT_GRADER
    grader_options: GraderOptions = Field(default_factory=dict)
    allowed_losses: Annotated[float | None, PlainValidator(_allowed_losses)] = None
    prompts: list[object] = Field(default_factory=list)
    anchors: list[object] = Field(default_factory=list)
    anchor_prompts: list[object] = Field(default_factory=list)


class PromptInput(QuestionOrPrompt):
    """A prompt in a file: with a question or a prompt, and answers that are written or chosen."""

    answers: Texts
    grader: Text = DEFAULT_GRADER
    grader_options: GraderOptions = Field(default_factory=dict)
    group: Text = ""
    choices: Annotated[tuple[FilledText, ...], Field(min_length=2)] = ()
    delimiter: Text = " "
    per_character: Switch = False

    @classmethod
    def problems_of_whole(cls, given: Mapping[str, Any], written: Collection[str]) -> list[tuple[str, str]]:
        """Choices exclude what written answers need, and the other way round."""
        problems = super().problems_of_whole(given, written)
        keys, has_choices = set(written), "choices" in written
        if not has_choices and {"delimiter", "per_character"} & keys:
            problems.append(("", "has no choices, so delimiter and per_character mean nothing"))
        if has_choices and "question" in keys:
            problems.append(("", "has choices, which need a prompt instead of a question"))
        if has_choices and {"grader", "grader_options"} & keys:
            problems.append(("", "has choices, whose answers no grader grades: the likeliest choice is the answer"))
        answers, choices = given.get("answers"), given.get("choices")
        if answers and choices and not set(answers) <= set(choices):
            problems.append(("", "has an answer that is not one of its choices"))
        return problems


def read_retention(workspace: Workspace) -> Retention:
    """Read every suite of a workspace; raises WrongUseError that lists every problem of all files."""
    folder = workspace.retention_folder
    # Every file except hidden ones and notes counts: a misnamed suite must not be skipped silently.
    below = (path for path in folder.rglob("*") if path.is_file() and path.suffix.lower() not in NOTE_SUFFIXES)
    paths = (path for path in below if not any(part.startswith(".") for part in path.relative_to(folder).parts))
    return read_suites(sorted(paths), workspace.root)


def read_suites(paths: Iterable[Path], root: Path | None = None) -> Retention:
    """Read suites from files; names in messages are relative to `root` if a file is below it."""
    suites: list[Suite] = []
    problems: list[str] = []
    for path in paths:
        try:
            suite, suite_problems = _read_suite(read_text_file(path, root))
        except UnreadableFileError as error:
            suite, suite_problems = None, [str(error)]
        problems += suite_problems
        suites += [suite] if suite else []
    problems += _repeated_names(suites) + _prompts_in_anchors(suites)
    if problems:
        raise WrongUseError(
            f"No retention suites loaded: {counted(len(problems), 'problem')} in retention/",
            problems=in_file_order(problems),
            next_step="Correct the files, then check them with 'seal-console retention check'.",
        )
    return Retention(tuple(suites))


def _read_suite(file: TextFile) -> tuple[Suite | None, list[str]]:
    """Return the suite of a file, or None if there is nothing to read, and everything that is wrong with it."""
    suffix = PurePath(file.name).suffix.lower()
    if suffix not in SUITE_SUFFIXES:
        supported = ", ".join(SUITE_SUFFIXES)
        return None, [f"{file.name}: suites cannot be read from this kind of file; supported: {supported}"]
    if suffix == ".jsonl":
        reader = _jsonl_suite(file)
    else:
        try:
            reader = InputReader(located_data(file.name, parse_located_yaml(file.text)))
        except YamlProblemError as error:
            return None, [yaml_problem(file.name, error)]
    return _suite_of(reader), reader.problems


def _jsonl_suite(file: TextFile) -> InputReader:
    """Bring the lines of a JSONL file into the form that YAML has: the suite's own keys, prompts and anchors."""
    found, problems = parse_json_lines(file.text, file.name)
    lines: dict[KeyPath, int] = {(): 1}
    suite: dict[str, object] = {}
    entries: dict[str, list[object]] = {"prompts": [], "anchors": []}
    for number, (line, value) in enumerate(found):
        if number == 0 and isinstance(value, dict) and "suite" in value:
            suite = value
            lines |= {(key,): line for key in value}
            continue
        is_anchor = isinstance(value, dict) and set(value) == {"anchor"}
        key = "anchors" if is_anchor else "prompts"
        lines[key, len(entries[key])] = line
        entries[key].append(value["anchor"] if isinstance(value, dict) and is_anchor else value)
    reader = InputReader(LocatedData(file.name, {**suite, **entries}, lines), problems)
    for key in entries.keys() & suite.keys():
        reader.report((key,), "cannot be in the first line of a JSONL file; each has a line of its own")
    return reader


def _suite_of(reader: InputReader) -> Suite | None:
    data = reader.source.data
    if isinstance(data, dict) and "lm_eval" in data:
        reader.report(
            ("lm_eval",),
            "a suite cannot name a task of lm-evaluation-harness; import its prompts once with "
            "'seal-console retention import-lm-eval TASK' and remove this file",
        )
        return None
    if isinstance(data, dict) and not any(map(data.get, _ENTRIES)) and not reader.problems:
        reader.report((), "contains no prompt and no anchor")
    suite = reader.read_what_is_valid(SuiteInput, data)
    if suite is None:
        return None
    prompts: list[RetentionPrompt] = []
    places: dict[tuple[bool, str, Choices | None], str] = {}
    for index, entry in enumerate(suite.prompts):
        prompt = _prompt(reader, entry, ("prompts", index), suite)
        if prompt is None:
            continue
        text = prompt.text if prompt.raw else question_key(prompt.text)
        first_place = places.setdefault((prompt.raw, text, prompt.choices), prompt.place)
        if len(places) == len(prompts):
            reader.report(("prompts", index), f"the same prompt as {first_place}")
        else:
            prompts.append(prompt)
    anchors, anchor_prompts = (
        [reader.read(_ANCHOR, text, (key, index)) for index, text in enumerate(texts)]
        for key, texts in (("anchors", suite.anchors), ("anchor_prompts", suite.anchor_prompts))
    )
    return Suite(
        suite.suite or PurePath(reader.source.file).stem,
        reader.source.place(),
        tuple(prompts),
        tuple(anchor for anchor in anchors if anchor is not None),
        suite.allowed_losses,
        tuple(prompt for prompt in anchor_prompts if prompt is not None),
    )


def _prompt(reader: InputReader, entry: object, path: KeyPath, suite: SuiteInput) -> RetentionPrompt | None:
    found = reader.read(PromptInput, entry, path)
    if isinstance(entry, dict) and "choices" not in entry:
        given = valid_values(PromptInput, entry)
        if "grader" not in entry:
            given |= {"grader": suite.grader}
            given |= {} if "grader_options" in entry else {"grader_options": suite.grader_options}
        report_grader(reader, path, given, "grader_options")
    if found is None:
        return None
    own = found if "grader" in found.model_fields_set else suite
    grader, options = own.grader, own.grader_options
    if "grader_options" in found.model_fields_set:
        options = found.grader_options
    choices = None
    if found.choices:
        grader, options = LIKELIHOOD, {}
        choices = Choices(found.choices, found.delimiter, found.per_character)
    return RetentionPrompt(
        text=found.text,
        raw=found.raw,
        answers=found.answers,
        grader=grader,
        grader_options=options,
        group=found.group or suite.group,
        place=reader.source.place(path),
        choices=choices,
    )


def _repeated_names(suites: Iterable[Suite]) -> list[str]:
    first_places: dict[str, str] = {}
    problems = []
    for suite in suites:
        first_place = first_places.setdefault(suite.name.casefold(), suite.place)
        if first_place != suite.place:
            problems.append(f"{suite.place}: '{suite.name}' is already the name of the suite at {first_place}")
    return problems


def _prompts_in_anchors(suites: Sequence[Suite]) -> list[str]:
    """Updates are trained on anchors, so a prompt whose text is in one would measure nothing."""
    trained = {
        question_key(line.strip().removeprefix("Question:")): suite.place
        for suite in suites
        for anchor in (*suite.anchors, *suite.anchor_prompts)
        for line in anchor.splitlines()
    }
    return [
        f"{prompt.place}: this text is in an anchor of {trained[key]}, and updates are trained on anchors"
        for suite in suites
        for prompt in suite.prompts
        if (key := question_key(prompt.text)) in trained
    ]
