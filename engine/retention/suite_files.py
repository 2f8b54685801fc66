"""One retention file as a suite, or problems that name their place.

YAML holds one suite: `suite`, `group`, `grader`, `grader_options` and `allowed_losses` for all its `prompts`, and
`anchors`. Instead of prompts, `lm_eval` may name a task file of lm-evaluation-harness. JSONL holds a prompt or an
anchor a line. Texts are taken as they are written, as in task files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from engine.input_files.located_yaml import Path as KeyPath
from engine.input_files.located_yaml import YamlProblemError, parse_located_yaml
from engine.retention.harness_suite import LM_EVAL_KEYS, SuitePath, harness_prompts
from engine.retention.suites import RetentionPrompt, Suite
from engine.tasks.checking import check_grader
from engine.tasks.drafts import QuestionDraft, SourceReader, kind_of, question_key
from engine.tasks.jsonl_tasks import json_lines
from engine.tasks.sources import TaskSource
from engine.tasks.yaml_tasks import texts_with_typed_options

if TYPE_CHECKING:
    from pathlib import Path

    from engine.input_files.text_files import TextFile

SUITE_SUFFIXES = (".yaml", ".yml", ".jsonl")
SUITE_KEYS = ("suite", "group", "grader", "grader_options", "allowed_losses", "prompts", "anchors", *LM_EVAL_KEYS)
PROMPT_KEYS = ("question", "prompt", "answers", "grader", "grader_options", "group")
_TYPED_KEYS = ("grader_options", "allowed_losses", "limit")
_DEFAULT_GRADER = "exact"
_LONGEST_NAME = 80
_MOST_LOSSES = 1_000_000


@dataclass(slots=True)
class _Defaults:
    """What prompts of a file have where they do not say it themselves."""

    grader: str = _DEFAULT_GRADER
    options: dict[str, Any] = field(default_factory=dict)
    group: str = ""


def parse_suite(file: TextFile, path: Path, root: Path | None) -> tuple[Suite | None, list[str]]:
    """Return the suite of the file at a path, None where there is nothing to read, and everything wrong with it.

    Names in messages are relative to `root` where a file lies below it.
    """
    suffix, at = path.suffix.lower(), SuitePath(path, root)
    if suffix not in SUITE_SUFFIXES:
        known = ", ".join(SUITE_SUFFIXES)
        return None, [f"{file.name}: suites cannot be read from this kind of file; known are {known}"]
    if suffix == ".jsonl":
        return _from_jsonl(file, at)
    try:
        located = parse_located_yaml(file.text)
    except YamlProblemError as error:
        place = file.name if error.line is None else f"{file.name}:{error.line}"
        return None, [f"{place}: {error.message}"]
    return _from_data(TaskSource(file.name, texts_with_typed_options(located, _TYPED_KEYS), located.lines), at)


def _from_jsonl(file: TextFile, at: SuitePath) -> tuple[Suite | None, list[str]]:
    """Bring the lines into the form that YAML has: prompts, and anchors."""
    found, problems = json_lines(file.text, file.name)
    data: dict[str, list[object]] = {"prompts": [], "anchors": []}
    lines: dict[KeyPath, int] = {(): 1}
    for line, value in found:
        is_anchor = isinstance(value, dict) and set(value) == {"anchor"}
        key = "anchors" if is_anchor else "prompts"
        lines[key, len(data[key])] = line
        data[key].append(value["anchor"] if isinstance(value, dict) and is_anchor else value)
    if problems and not found:
        return None, problems
    suite, more = _from_data(TaskSource(file.name, data, lines), at)
    return suite, problems + more


def _from_data(source: TaskSource, at: SuitePath) -> tuple[Suite | None, list[str]]:
    reader = SourceReader(source)
    data = source.data
    if not isinstance(data, dict):
        reader.report((), f"a suite must have the key prompts or anchors (is {kind_of(data)})")
        return None, reader.problems
    reader.unknown_keys(data, SUITE_KEYS, ())
    name = _name(reader, data)
    allowed = _allowed_losses(reader, data)
    defaults = _defaults(reader, data)
    prompts = _prompts(reader, data.get("prompts", []), defaults)
    to_build = harness_prompts(reader, data, at, (defaults.grader, defaults.options), defaults.group)
    anchors = _anchors(reader, data.get("anchors", []))
    if not (data.get("prompts") or data.get("anchors") or "lm_eval" in data):
        reader.report((), "holds no prompt and no anchor")
    return Suite(name, source.place(), tuple(prompts), tuple(anchors), allowed, to_build), reader.problems


def _name(reader: SourceReader, data: dict[str, Any]) -> str:
    name = reader.text(data["suite"], ("suite",)) if "suite" in data else PurePath(reader.source.file).stem
    if "suite" in data and isinstance(data["suite"], str) and not name.strip():
        reader.report(("suite",), "the suite's name is empty")
    if len(name) > _LONGEST_NAME or not name.isprintable():
        reader.report(("suite",), f"the suite's name must be a line of at most {_LONGEST_NAME} characters")
    return name


def _allowed_losses(reader: SourceReader, data: dict[str, Any]) -> float | None:
    value = data.get("allowed_losses")
    if value is None:
        return None
    if isinstance(value, float) and 0 <= value <= 1:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_LOSSES:
        return value
    wanted = "a whole number of prompts, or a share of them with a point (0.0 … 1.0)"
    found = repr(value) if isinstance(value, str | float) else kind_of(value)
    reader.report(("allowed_losses",), f"allowed_losses must be {wanted}; it is {found}")
    return None


def _defaults(reader: SourceReader, data: dict[str, Any]) -> _Defaults:
    texts = {key: reader.text(data[key], (key,)) for key in ("grader", "group") if key in data}
    options = reader.options(data.get("grader_options", {}), ("grader_options",))
    return _Defaults(texts.get("grader", _DEFAULT_GRADER), options, texts.get("group", ""))


def _prompts(reader: SourceReader, entries: object, defaults: _Defaults) -> list[RetentionPrompt]:
    if not isinstance(entries, list):
        reader.report(("prompts",), f"prompts must be a list (is {kind_of(entries)})")
        return []
    prompts: list[RetentionPrompt] = []
    places: dict[tuple[bool, str], str] = {}
    for index, entry in enumerate(entries):
        prompt = _prompt(reader, entry, ("prompts", index), defaults)
        if prompt is None:
            continue
        text = prompt.text if prompt.as_it_stands else question_key(prompt.text)
        key = (prompt.as_it_stands, text)
        if key in places:
            reader.report(("prompts", index), f"the same prompt as {places[key]}")
        places.setdefault(key, prompt.place)
        prompts.append(prompt)
    return prompts


def _prompt(reader: SourceReader, entry: object, path: KeyPath, defaults: _Defaults) -> RetentionPrompt | None:
    if not isinstance(entry, dict):
        reader.report(path, f"a prompt must have the keys question (or prompt) and answers (is {kind_of(entry)})")
        return None
    before = len(reader.problems)
    reader.unknown_keys(entry, PROMPT_KEYS, path)
    text = _text(reader, entry, path)
    answers = _answers(reader, entry, path)
    grader = reader.text(entry["grader"], (*path, "grader")) if "grader" in entry else defaults.grader
    own_options = {} if "grader" in entry else defaults.options
    options = reader.options(entry.get("grader_options", own_options), (*path, "grader_options"))
    group = reader.text(entry["group"], (*path, "group")) if "group" in entry else defaults.group
    if len(reader.problems) > before:
        return None
    place = reader.source.place(path)
    reader.problems += check_grader(QuestionDraft(place, text, answers, grader, options, None))
    return RetentionPrompt(text, "prompt" in entry, tuple(answers), grader, options, group, place)


def _text(reader: SourceReader, entry: dict[str, Any], path: KeyPath) -> str:
    if ("question" in entry) == ("prompt" in entry):
        found = "both question and prompt" if "question" in entry else "neither question nor prompt"
        reader.report(path, f"has {found}; give one of the two")
        return ""
    key = "question" if "question" in entry else "prompt"
    text = reader.text(entry[key], (*path, key))
    if isinstance(entry[key], str) and not text.strip():
        reader.report((*path, key), f"the {key} is empty")
    return text


def _answers(reader: SourceReader, entry: dict[str, Any], path: KeyPath) -> list[str]:
    if "answers" not in entry:
        reader.report(path, "has no answers")
        return []
    given, below = entry["answers"], (*path, "answers")
    if not isinstance(given, list):
        given = [given]
        texts = [reader.text(given[0], below)]
    else:
        texts = [reader.text(answer, (*below, number)) for number, answer in enumerate(given)]
    if not texts:
        reader.report(below, "has no answers")
    if any(isinstance(answer, str) and not answer.strip() for answer in given):
        reader.report(below, "an answer is empty")
    return list(dict.fromkeys(texts))


def _anchors(reader: SourceReader, entries: object) -> list[str]:
    if not isinstance(entries, list):
        reader.report(("anchors",), f"anchors must be a list of texts (is {kind_of(entries)})")
        return []
    texts = [reader.text(entry, ("anchors", index)) for index, entry in enumerate(entries)]
    for index, entry in enumerate(entries):
        if isinstance(entry, str) and not entry.strip():
            reader.report(("anchors", index), "the anchor is empty")
    return texts
