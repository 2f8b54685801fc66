"""Validates data from a file against pydantic models and reports every problem as `file:line: key: what is wrong`.

It judges form only: types, bounds, unknown and missing keys. What values mean together is for the callers to check.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import SchemaError

from engine.input_files.input_model import InputModel, WrongKeyError, keys_of
from engine.input_files.located_yaml import LocatedYaml, Path, YamlProblemError, YamlScalar, nearest_line
from store.wording import nearest_name, suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic_core import ErrorDetails

_LONGEST_SHOWN = 60
Input = TypeVar("Input")


@dataclass(frozen=True, slots=True)
class LocatedData:
    """Plain data from a file; `lines` maps key paths inside `data` to lines, counted from 1."""

    file: str
    data: object
    lines: Mapping[Path, int] = field(default_factory=dict)

    def place(self, path: Path = ()) -> str:
        """Return "file:line" of a part, or the file alone if no line is known."""
        line = nearest_line(self.lines, path)
        return self.file if line is None else f"{self.file}:{line}"

    def problem(self, path: Path, message: str) -> str:
        """Return a problem with its place and key."""
        return ": ".join(filter(None, (self.place(path), key_name(path), message)))


def located_data(file: str, located: LocatedYaml) -> LocatedData:
    """Return a YAML document's data, every scalar as it is written in the file."""
    return LocatedData(file, located.written, located.lines)


def yaml_problem(file: str, error: YamlProblemError) -> str:
    """Return a problem with YAML itself, with its place."""
    return f"{file if error.line is None else f'{file}:{error.line}'}: {error.message}"


@dataclass(slots=True)
class InputReader:
    """Validates the parts of a file and collects every problem."""

    source: LocatedData
    problems: list[str] = field(default_factory=list)

    def report(self, path: Path, message: str) -> None:
        """Note a problem with the part at a path."""
        self.problems.append(self.source.problem(path, message))

    def read(
        self, expected: type[Input] | TypeAdapter[Input], data: object, path: Path = (), more_keys: Sequence[str] = ()
    ) -> Input | None:
        """Return data as a model or another type, or None after noting everything that is wrong with it.

        `more_keys` are the keys next to the model's own that an unknown key may have been meant to be.
        """
        adapter = expected if isinstance(expected, TypeAdapter) else TypeAdapter(expected)
        try:
            return adapter.validate_python(data)
        except ValidationError as error:
            model = expected if isinstance(expected, type) and issubclass(expected, BaseModel) else None
            whole = _problems_of_whole(model, data)
            known = {message for _, message in whole}
            found = [one for one in problems_in(error, data, model, more_keys) if one[1] not in known]
            for inner, message in [*found, *whole]:
                self.report((*path, *inner), message)
            return None

    def read_what_is_valid(self, expected: type[Input], data: object, path: Path = ()) -> Input | None:
        """Like `read`, but a mapping's wrong keys are left out, so checks that depend on the others still run."""
        found = self.read(expected, data, path)
        if found is not None or not isinstance(data, dict):
            return found
        try:
            return TypeAdapter(expected).validate_python(data)
        except ValidationError as error:
            wrong = {detail["loc"][0] for detail in error.errors() if detail["loc"]}
        try:
            return TypeAdapter(expected).validate_python({key: data[key] for key in data if key not in wrong})
        except ValidationError:
            return None

    def entries(self, data: object, path: Path) -> list[object]:
        """Return the entries of a list; anything else is a problem."""
        if isinstance(data, list):
            return data
        self.report(path, f"must be a list (is {value_shown(data)})")
        return []

    def repeated_names(self, entries: Sequence[object], key: str, path: Path) -> None:
        """Report each entry of a list whose name an earlier entry has too, whatever its case."""
        first: dict[str, int] = {}
        for index, entry in enumerate(entries):
            name = entry.get(key) if isinstance(entry, dict) else None
            if isinstance(name, str) and name and first.setdefault(name.casefold(), index) != index:
                earlier = self.source.place((*path, first[name.casefold()]))
                self.report((*path, index, key), f"'{name}' is already the name at {earlier}")


def in_file_order(problems: Sequence[str]) -> list[str]:
    """Return problems by the lines that they name; files in the order in which they first occur."""
    files, lines = [], []
    for problem in problems:
        place = _PLACE.match(problem)
        files.append(place["file"] if place else problem.partition(": ")[0])
        lines.append(int(place["line"]) if place else 0)
    first = {file: place for place, file in reversed(list(enumerate(files)))}
    return [problems[place] for place in sorted(range(len(problems)), key=lambda at: (first[files[at]], lines[at]))]


_PLACE = re.compile(r"(?P<file>.+?):(?P<line>\d+): ")


def valid_values(model: type[BaseModel], data: Mapping[Any, object]) -> dict[str, Any]:
    """Return the values of a mapping that are valid by themselves, by field; those that are absent have a default."""
    given: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        if name in data:
            with suppress(ValidationError, SchemaError):  # SchemaError: an empty value that stands for the default
                given[name] = _field_adapter(model, name).validate_python(data[name])
        elif not info.is_required():
            given[name] = info.get_default(call_default_factory=True)
    return given


@cache
def _field_adapter(model: type[BaseModel], name: str) -> TypeAdapter[Any]:
    info = model.model_fields[name]
    annotation: Any = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
    return TypeAdapter(annotation)


def _problems_of_whole(model: type[BaseModel] | None, data: object) -> list[tuple[Path, str]]:
    if model is None or not issubclass(model, InputModel) or not isinstance(data, dict):
        return []
    written = {key for key in data if isinstance(key, str)}
    found = model.problems_of_whole(valid_values(model, data), written)
    return [((key,) if key else (), message) for key, message in found]


def problems_in(
    error: ValidationError, data: object, model: type[BaseModel] | None = None, more_keys: Sequence[str] = ()
) -> list[tuple[Path, str]]:
    """Return what is wrong with data: the path of each problem inside it, and the problem in words."""
    by_path: dict[Path, list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        by_path.setdefault(_path_in(data, detail), []).append(detail)
    found = []
    for path, details in by_path.items():
        if details[0]["type"] == "too_short" and any(other[: len(path)] == path != other for other in by_path):
            continue  # pydantic counts only the valid entries of a list
        owner = path if details[0]["type"] in _NOT_A_MAPPING else path[:-1]
        found.append((path, _message(details, _model_at(model, owner), more_keys)))
    return found


def _path_in(data: object, detail: ErrorDetails) -> Path:
    """Leave out what pydantic adds to a path, such as the names of the alternatives of a union."""
    path: list[str | int] = []
    for part in detail["loc"]:
        parts = dict(enumerate(data)) if isinstance(data, list) else data if isinstance(data, dict) else {}
        if part in parts or detail["type"] == "missing":
            path.append(part)
            data = parts.get(part)
    error = detail.get("ctx", {}).get("error")
    return (*path, error.key) if isinstance(error, WrongKeyError) else tuple(path)


def _model_at(model: type[BaseModel] | None, path: Path) -> type[BaseModel] | None:
    """Return the model at a path inside a model."""
    for key in path:
        inner = model.model_fields[str(key)].annotation if model and key in model.model_fields else None
        model = inner if isinstance(inner, type) and issubclass(inner, BaseModel) else None
    return model


_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "keys with values",
    "finite_number": "a finite number",
    "greater_than": "above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "below {lt}",
    "less_than_equal": "at most {le}",
}
_NOT_A_MAPPING = ("model_type", "model_attributes_type")


def _message(details: Sequence[ErrorDetails], model: type[BaseModel] | None, more_keys: Sequence[str]) -> str:
    """Say what is wrong; `model` is the one that has the key, or that a mapping was expected for."""
    first = details[0]
    known = [*more_keys, *(keys_of(model) if model else ())]
    match first["type"]:
        case "missing":
            return "missing"
        case "value_error":
            return str(first["ctx"]["error"])
        case "extra_forbidden":
            key = str(first["loc"][-1])
            renamed = model.former_keys.get(key) if model and issubclass(model, InputModel) else None
            return f"renamed to '{renamed}'" if renamed else f"unknown key; {suggestion(key, known)}"
        case kind if kind in _NOT_A_MAPPING:
            return f"must have keys such as {' and '.join(known[:2])} (is {value_shown(first['input'])})"
        case "too_short" | "string_too_short":
            least = first["ctx"]["min_length"]
            return "is empty" if least == 1 else f"must have at least {least} entries"
    expected = " or ".join(dict.fromkeys(_expected(one) for one in details if one["type"] != "too_short"))
    names = re.findall(r"'([^']*)'", first["ctx"]["expected"]) if first["type"] == "literal_error" else []
    nearest = nearest_name(first["input"], names) if isinstance(first["input"], str) else None
    hint = f"; did you mean '{nearest}'?" if nearest else ""
    return f"must be {expected} (is {value_shown(first['input'])}){hint}"


def _expected(detail: ErrorDetails) -> str:
    if detail["type"] == "literal_error":
        return str(detail["ctx"]["expected"]).replace("'", "")
    template = _EXPECTED.get(detail["type"], detail["msg"].removeprefix("Input should be "))
    bounds = {key: value for key, value in detail.get("ctx", {}).items() if key in template}
    return template.format(**{key: f"{one:g}" if isinstance(one, float) else one for key, one in bounds.items()})


def key_name(path: Path) -> str:
    """Return a path as text: `exam.batch_size`, or `question 2: answers` for a part of a list's second entry."""
    name = ""
    for position, part in enumerate(path):
        follows_entry = position > 0 and isinstance(path[position - 1], int)
        if isinstance(part, int):
            name = f"{name.removesuffix('s')} {part + 1}"
        elif position == 0:
            name = part
        else:
            into_list = position + 1 < len(path) and isinstance(path[position + 1], int)
            name += f"{': ' if follows_entry or into_list else '.'}{part}"
    return name


def kind_of(value: object) -> str:
    """Return what kind of value this is, in words."""
    names = {dict: "keys with values", list: "a list", bool: "true or false", type(None): "empty"}
    if isinstance(value, str):
        return "text"
    if value == []:
        return "an empty list"
    return names.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)


def value_shown(value: object) -> str:
    """Return a value for a message: texts and numbers as they are if they are short, of others the kind."""
    if isinstance(value, YamlScalar) and isinstance(value.value, int | float):
        value = value if isinstance(value.value, bool) else value.value
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        return kind_of(value)
    try:
        shown = repr(str(value)) if isinstance(value, str) else repr(value)
    except ValueError:  # Python refuses to write out integers of thousands of digits
        return "a number with thousands of digits"
    return shown if len(shown) <= _LONGEST_SHOWN else f"{shown[: _LONGEST_SHOWN - 1]}…"
