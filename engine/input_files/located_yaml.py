"""Parses YAML so that every value has its line, for messages that name a place.

Stricter than YAML itself: no aliases (a small file could expand into a huge one), no repeated keys, no second document.
U+0085, U+2028 and U+2029 are ordinary characters, as in YAML 1.2; to PyYAML, which follows 1.1, they end lines. It does
not keep comments, and does not write YAML.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Path = tuple[str | int, ...]
_NULL = "tag:yaml.org,2002:null"
_COLLECTIONS = frozenset({"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})
_MAX_DEPTH = 50
_NO_LINE_ENDS = "\x85\u2028\u2029"
_PRIVATE_USE = range(0xE000, 0xF900)
_LONGEST_READ_TWICE = 200_000  # characters; the slow reader takes seconds for more
_FAST: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class YamlProblemError(ValueError):
    """The text is not acceptable YAML; `line` counts from 1, None if it is unknown."""

    def __init__(self, message: str, line: int | None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


class YamlScalar(str):
    """A scalar as it is written in the file (`no`, `1943`, `1.50`); `value` is what YAML makes of it."""

    __slots__ = ("value",)
    value: object


@dataclass(frozen=True, slots=True)
class LocatedYaml:
    """A parsed document: plain data, the same data as it is written, and the line of each path.

    In `written` every scalar is a `YamlScalar`; an empty value is None.
    """

    data: object
    written: object
    lines: dict[Path, int] = field(default_factory=dict)


def nearest_line(lines: Mapping[Path, int], path: Path) -> int | None:
    """Return the line of a path, or of the longest beginning of it that has one."""
    for length in range(len(path), -1, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None


def parse_located_yaml(text: str) -> LocatedYaml:
    """Parse one YAML document; raises YamlProblemError with the line of the first thing that is wrong.

    libyaml reads it if it is there, ten times as fast; a short text whose syntax it refuses is read again for the
    better message.
    """
    stand_ins = _stand_ins(text)
    for one, stand_in in stand_ins.items():
        text = text.replace(one, stand_in)
    put_back = {ord(stand_in): one for one, stand_in in stand_ins.items()}
    if _FAST is not yaml.SafeLoader:
        try:
            return _parse(text, _FAST, put_back)
        except YamlProblemError as error:
            if error.__cause__ is None or len(text) > _LONGEST_READ_TWICE:
                raise
    return _parse(text, yaml.SafeLoader, put_back)


def _stand_ins(text: str) -> dict[str, str]:
    """Return a character that the text does not have for each of its characters that only YAML 1.1 ends lines at."""
    there = [one for one in _NO_LINE_ENDS if one in text]
    free = (chr(code) for code in _PRIVATE_USE if chr(code) not in text)
    return dict(zip(there, free, strict=False)) if there else {}


def _put_back(node: yaml.Node, characters: Mapping[int, str]) -> None:
    if isinstance(node, yaml.ScalarNode):
        node.value = node.value.translate(characters)
    elif isinstance(node, yaml.MappingNode):
        for pair in node.value:
            for one in pair:
                _put_back(one, characters)
    else:
        for one in node.value:
            _put_back(one, characters)


def _parse(text: str, loader_class: type[yaml.SafeLoader], put_back: Mapping[int, str]) -> LocatedYaml:
    try:
        _refuse_aliases_and_depth(text, loader_class)
        loader = loader_class(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return LocatedYaml(None, None, {(): 1})
            if put_back:
                _put_back(node, put_back)
            lines = dict(_walk(node, ()))
            return LocatedYaml(*_values(node, loader), lines)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlProblemError(error.problem or "not valid YAML", mark.line + 1 if mark else None) from error
    except YamlProblemError:
        raise
    except (ValueError, OverflowError) as error:
        raise YamlProblemError(f"an escape that is not a character: {error}", None) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, int(error.position)) + 1
        raise YamlProblemError(f"a character that YAML does not allow: {error.character!r}", line) from error


def _refuse_aliases_and_depth(text: str, loader_class: type[yaml.SafeLoader]) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=loader_class):
        line = event.start_mark.line + 1 if event.start_mark else None
        if isinstance(event, yaml.AliasEvent):
            raise YamlProblemError("aliases (*name) are not supported here; write the value out", line)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise YamlProblemError(f"nested more than {_MAX_DEPTH} deep", line)


def _walk(node: yaml.Node, path: Path) -> Iterator[tuple[Path, int]]:
    yield path, node.start_mark.line + 1
    if not isinstance(node, yaml.ScalarNode) and node.tag not in _COLLECTIONS:
        raise YamlProblemError(f"the tag {node.tag} is not supported", node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        for position, child in enumerate(node.value):
            yield from _walk(child, (*path, position))
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, child in node.value:
            name = _key(key)
            if name in seen:
                raise YamlProblemError(f"the key '{name}' appears twice", key.start_mark.line + 1)
            seen.add(name)
            yield (*path, name), key.start_mark.line + 1
            if not isinstance(child, yaml.ScalarNode):
                yield from ((inner, line) for inner, line in _walk(child, (*path, name)) if inner != (*path, name))


def _key(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise YamlProblemError("a key must be a single value, not a list or a mapping", node.start_mark.line + 1)
    return str(node.value)


def _values(node: yaml.Node, loader: yaml.SafeLoader) -> tuple[object, object]:
    """Return the data below a node: plain, and as it is written."""
    if isinstance(node, yaml.SequenceNode):
        entries = [_values(child, loader) for child in node.value]
        return [plain for plain, _ in entries], [written for _, written in entries]
    if isinstance(node, yaml.MappingNode):
        values = {_key(key): _values(child, loader) for key, child in node.value}
        return {key: pair[0] for key, pair in values.items()}, {key: pair[1] for key, pair in values.items()}
    try:
        value = loader.construct_object(node)
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        raise YamlProblemError(f"cannot read the value '{node.value}': {error}", node.start_mark.line + 1) from error
    if node.tag == _NULL:
        return value, None
    written = YamlScalar(node.value)
    written.value = value
    return value, written
