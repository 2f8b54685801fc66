"""The base of all models of input files, and the types of their fields.

YAML scalars arrive as they are written (`YamlScalar`): text fields keep the text, all other fields take the value that
YAML makes of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import AfterValidator, AliasPath, BaseModel, BeforeValidator, ConfigDict, Field, Strict, model_validator
from pydantic_core import PydanticUseDefault

from engine.input_files.located_yaml import YamlScalar
from engine.input_files.strict_json import is_unicode
from store.hashing import canonical_json

LARGEST_COUNT = 10_000_000
Item = TypeVar("Item")


class InputModel(BaseModel):
    """Base of all models of input: values cannot change, unknown keys are refused, NaN and infinity too."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())

    former_keys: ClassVar[Mapping[str, str]] = {}
    """Keys that were renamed, with their new name: a file that still has one gets an error that says so."""

    @classmethod
    def problems_of_whole(cls, given: Mapping[str, Any], written: Collection[str]) -> list[tuple[str, str]]:
        """Return what is wrong with the keys together: the key that is wrong, or "", and the problem in words.

        `given` has the valid values, `written` all keys of the file: both are asked for, so that a wrong value of one
        key hides no other problem.
        """
        del given, written
        return []

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        given = {name: getattr(self, name) for name in type(self).model_fields}
        for key, message in self.problems_of_whole(given, self.model_fields_set):
            raise WrongKeyError(key, message) if key else ValueError(message)
        return self


class WrongKeyError(ValueError):
    """What a validator of a whole model raises if one of its keys is wrong."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def typed(value: object) -> object:
    """Return the value that YAML makes of a scalar; an empty one takes the field's default."""
    if value is None:
        raise PydanticUseDefault
    return value.value if isinstance(value, YamlScalar) else value


def plain(value: object) -> object:
    """Return data with every YAML scalar as its value."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value.value if isinstance(value, YamlScalar) else value


def _encodable(text: str) -> str:
    if not is_unicode(text):
        raise ValueError("contains half a surrogate pair, which is not a character")
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    return text


def as_list(value: object) -> object:
    """Return a single value as a list of one."""
    return value if isinstance(value, list) else [value]


def each_once(texts: tuple[Item, ...]) -> tuple[Item, ...]:
    """Return texts without repetitions."""
    return tuple(dict.fromkeys(texts))


def _storable(value: dict[str, Any]) -> dict[str, Any]:
    try:
        canonical_json(value).encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError("must hold only text, numbers, true or false, lists and keys") from error
    return value


Text = Annotated[str, AfterValidator(_encodable)]
FilledText = Annotated[Text, AfterValidator(_not_blank)]
# A list of texts, each kept once; a single text is a list of one.
Texts = Annotated[
    tuple[FilledText, ...],
    Field(min_length=1),
    BeforeValidator(as_list),
    AfterValidator(each_once),
]
Count = Annotated[int, Field(ge=0, le=LARGEST_COUNT), Strict(), BeforeValidator(typed)]
PositiveCount = Annotated[int, Field(ge=1, le=LARGEST_COUNT), Strict(), BeforeValidator(typed)]
Number = Annotated[float, Strict(), BeforeValidator(typed)]
Share = Annotated[float, Field(ge=0, le=1), Strict(), BeforeValidator(typed)]
Switch = Annotated[bool, Strict(), BeforeValidator(typed)]
GraderOptions = Annotated[dict[str, Any], AfterValidator(_storable), BeforeValidator(plain)]


def short_line(longest: int) -> AfterValidator:
    """Return a validator for names: one printable line of at most `longest` characters."""

    def check(text: str) -> str:
        if len(text) > longest or not text.isprintable():
            raise ValueError(f"must be one line of at most {longest} characters")
        return text

    return AfterValidator(check)


def keys_of(model: type[BaseModel]) -> tuple[str, ...]:
    """Return the keys that a file may use for the fields of a model."""
    aliases = {name: info.validation_alias or name for name, info in model.model_fields.items()}
    return tuple(str(alias) for alias in aliases.values() if not isinstance(alias, AliasPath))
