"""Tasks in YAML: one task, or a list of tasks, with the keys title, context and questions.

Texts are taken as they are written: an answer `no`, `1943` or `2016-02-07` needs no quotes. Only a grader's options are
read as YAML values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.input_files.located_yaml import LocatedYaml, YamlProblemError, parse_located_yaml
from engine.input_files.located_yaml import Path as KeyPath
from engine.tasks.sources import Parsed, TaskSource, refused

if TYPE_CHECKING:
    from collections.abc import Collection


def read_yaml_tasks(text: str, file: str) -> Parsed:
    """Read the tasks of a YAML file."""
    try:
        located = parse_located_yaml(text)
    except YamlProblemError as error:
        return refused(file, error.line, error.message)
    data = texts_with_typed_options(located)
    if isinstance(data, dict):
        return Parsed([TaskSource(file, data, located.lines)])
    if not isinstance(data, list) or not data:
        return refused(file, None, "must hold a task or a list of tasks")
    return Parsed([TaskSource(file, item, lines_below(located.lines, (index,))) for index, item in enumerate(data)])


def texts_with_typed_options(located: LocatedYaml, typed_keys: Collection[str] = ("options",)) -> object:
    """Return the data with every scalar as written, but with what stands under `typed_keys` as YAML values."""
    return _merge(located.written, located.data, typed_keys)


def lines_below(lines: dict[KeyPath, int], prefix: KeyPath) -> dict[KeyPath, int]:
    """Return the lines of one part, with paths relative to it."""
    return {path[len(prefix) :]: line for path, line in lines.items() if path[: len(prefix)] == prefix}


def _merge(texts: object, values: object, typed_keys: Collection[str]) -> object:
    if isinstance(texts, list) and isinstance(values, list):
        return [_merge(text, value, typed_keys) for text, value in zip(texts, values, strict=True)]
    if isinstance(texts, dict) and isinstance(values, dict):
        return {
            key: values[key] if key in typed_keys else _merge(text, values[key], typed_keys)
            for key, text in texts.items()
        }
    return texts
