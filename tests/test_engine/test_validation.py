"""Validation of input: what problems say, and where they are."""

from __future__ import annotations

from typing import ClassVar

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, model_validator

from engine.input_files.input_model import (
    Count,
    FilledText,
    GraderOptions,
    InputModel,
    Share,
    Switch,
    Texts,
    WrongKeyError,
)
from engine.input_files.located_yaml import YamlProblemError, parse_located_yaml
from engine.input_files.validation import InputReader, LocatedData, key_name, located_data


class Cup(InputModel):
    former_keys: ClassVar = {"color": "colour"}

    colour: FilledText
    handles: Count = 1
    full: Share | None = None
    clean: Switch = True
    names: Texts = ()
    size: float | bool = Field(default=1.0)
    more: GraderOptions = Field(default_factory=dict)

    @model_validator(mode="after")
    def _a_full_cup_has_a_handle(self) -> Cup:
        if self.full and not self.handles:
            raise WrongKeyError("full", "needs a handle")
        return self


class Shelf(InputModel):
    cup: Cup


def problems_of(text: str) -> list[str]:
    located = parse_located_yaml(text)
    reader = InputReader(located_data("shelf.yaml", located))
    reader.read(Shelf, located.written)
    return reader.problems


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[]", "1: must have keys such as cup"),
        ("cup: 3", "1: cup: must have keys such as colour and handles (is 3)"),
        ("cup: {}", "1: cup.colour: missing"),
        ("cup:\n  colour: ' '", "2: cup.colour: is empty"),
        ("cup:\n  colour: [x]", "2: cup.colour: must be text (is a list)"),
        ("cup:\n  colour: x\n  hanldes: 2", "3: cup.hanldes: unknown key; did you mean 'handles'?"),
        ("cup:\n  colour: x\n  color: y", "3: cup.color: renamed to 'colour'"),
        ("cup:\n  colour: x\n  handles: yes", "3: cup.handles: must be a whole number (is true)"),
        ("cup:\n  colour: x\n  handles: 1.0", "3: cup.handles: must be a whole number (is 1.0)"),
        ("cup:\n  colour: x\n  handles: -1", "3: cup.handles: must be at least 0 (is -1)"),
        ("cup:\n  colour: x\n  handles: 99999999", "3: cup.handles: must be at most 10000000 (is 99999999)"),
        (f"cup:\n  colour: x\n  handles: 0x{'f' * 5000}", "3: cup.handles: must be at most 10000000 (is a number with"),
        ("cup:\n  colour: x\n  full: .nan", "3: cup.full: must be a finite number (is nan)"),
        ("cup:\n  colour: x\n  clean: 'no, never'", "3: cup.clean: must be true or false (is 'no, never')"),
        ("cup:\n  colour: x\n  names: []", "3: cup.names: is empty"),
        ("cup:\n  colour: x\n  names:\n  - a\n  - ''", "5: cup: name 2: is empty"),
        ("cup:\n  colour: x\n  size: big", "3: cup.size: must be a number or true or false (is 'big')"),
        ("cup:\n  colour: x\n  more: {a: 2020-01-01}", "3: cup.more: must hold only text, numbers, true or false"),
        ("cup:\n  colour: x\n  handles: 0\n  full: 0.5", "4: cup.full: needs a handle"),
    ],
)
def test_a_problem_has_its_line_and_key_and_the_value(text: str, problem: str) -> None:
    (found,) = problems_of(text)
    assert found.startswith(f"shelf.yaml:{problem}")


def test_texts_are_taken_as_written_and_other_values_as_yaml_reads_them() -> None:
    located = parse_located_yaml("colour: 1943\nhandles: 0x10\nnames: no\nclean:\nmore: {a: 1.50, b: no}\n")
    cup = InputReader(located_data("cup.yaml", located)).read(Cup, located.written)
    assert cup is not None
    assert (cup.colour, cup.handles, cup.names, cup.clean) == ("1943", 16, ("no",), True)
    assert cup.more == {"a": 1.5, "b": False}


def test_the_valid_keys_of_a_mapping_can_still_be_used() -> None:
    reader = InputReader(LocatedData("cup.json", {}))
    found = reader.read_what_is_valid(Cup, {"colour": "blue", "handles": -1, "full": 0.5})
    assert found == Cup(colour="blue", full=0.5)
    assert reader.problems == ["cup.json: handles: must be at least 0 (is -1)"]


def test_keys_are_named_as_people_count() -> None:
    assert key_name(()) == ""
    assert key_name(("exam", "batch_size")) == "exam.batch_size"
    assert key_name(("questions", 1, "answers", 0)) == "question 2: answer 1"
    assert key_name(("red_team", "prompts", 0, "must")) == "red_team: prompt 1: must"


KEYS = st.sampled_from([*Cup.model_fields, "cup", "color", "x"])
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=10,
)


@given(st.one_of(VALUES, st.fixed_dictionaries({"cup": VALUES})))
def test_any_data_is_read_or_refused_with_problems(data: object) -> None:
    reader = InputReader(LocatedData("shelf.json", data))
    found = reader.read(Shelf, data)
    assert (found is None) == bool(reader.problems)
    assert all(problem.startswith("shelf.json: ") for problem in reader.problems)


LINE_ENDS_OF_YAML_1_1 = ["\x85", "\u2028", "\u2029"]


@pytest.mark.parametrize("one", LINE_ENDS_OF_YAML_1_1)
@pytest.mark.parametrize("form", ['a: "x{}y"', "a: 'x{}y'", "a: x{}y", "a: |-\n  x{}y", "a: >-\n  x{}y"])
def test_characters_that_only_yaml_1_1_ends_lines_at_are_kept(one: str, form: str) -> None:
    found = parse_located_yaml(f"# a comment{one}b: 1\n{form.format(one)}\nlast{one}: \ue000\n")
    assert found.data == {"a": f"x{one}y", f"last{one}": "\ue000"}
    assert found.lines["a",] == 2
    assert str(found.written["a"]) == f"x{one}y"  # type: ignore[index]
    with pytest.raises(YamlProblemError) as refused:
        parse_located_yaml(f'a: "{one}"\nb: [\n')
    assert refused.value.line == 3


def test_what_is_refused_for_its_content_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml.SafeLoader, "__init__", lambda *_: pytest.fail("read again"))
    for text in ("a: 1\na: 2\n", "a: &x 1\nb: *x\n", f"a: {'[' * 60}"):
        with pytest.raises(YamlProblemError):
            parse_located_yaml(text)
