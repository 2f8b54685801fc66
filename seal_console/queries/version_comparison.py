"""Two versions compared: their weights, answers, figures and provenance.

The distance of weights is the Euclidean norm of the difference of the stored matrices A and B. Two adapters with equal
products B·A may still differ: the products are not compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, deserialize

from seal_console.queries.versions import ROOT, VersionFacts, version_facts
from store.adapter_files import WEIGHTS_NAME
from store.answers import model_state, recorded_answers
from store.errors import CorruptError, SealError, WrongUseError
from store.versions import version_adapter_files

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from sqlite_utils import Database

    from store.records import Answer, Question
    from store.workspace import Workspace


_NUMPY_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}
_deserialize: Any = deserialize


@dataclass(frozen=True, slots=True)
class WeightDistance:
    """Euclidean norm of the difference of all matrices A and B, the same over the norm of the first, and how many."""

    norm: float
    relative: float | None
    tensors: int


def weight_distance(first: bytes, second: bytes) -> WeightDistance:
    """Compare two files of weights. Raises WrongUseError if names or shapes differ, CorruptError for other files."""
    one, other = _tensors(first), _tensors(second)
    shapes = [{name: value.shape for name, value in tensors.items()} for tensors in (one, other)]
    if shapes[0] != shapes[1]:
        raise WrongUseError("the adapters have matrices of different names or shapes")
    squared = sum(float(np.sum((one[name] - other[name]) ** 2)) for name in one)
    size = sum(float(np.sum(value**2)) for value in one.values()) ** 0.5
    norm = squared**0.5
    return WeightDistance(norm, norm / size if size else None, len(one))


def _tensors(content: bytes) -> Mapping[str, NDArray[np.float64]]:
    try:
        found = _deserialize(content)
    except SafetensorError as error:
        raise CorruptError(f"the weights cannot be read: {error}") from error
    return {name: _as_float(tensor).reshape(tensor["shape"]) for name, tensor in found}


def _as_float(tensor: Mapping[str, Any]) -> NDArray[np.float64]:
    kind, data = str(tensor["dtype"]), bytes(tensor["data"])
    if kind == "BF16":
        # bfloat16, unknown to numpy, is the upper half of float32.
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4").astype(np.float64)
    if kind not in _NUMPY_TYPES:
        raise WrongUseError(f"weights of the type {kind} cannot be compared here")
    return np.frombuffer(data, _NUMPY_TYPES[kind]).astype(np.float64)


@dataclass(frozen=True, slots=True)
class AnswerChanges:
    """One question with each version's answer; None if there is none."""

    task_title: str
    question: Question
    first: Answer | None
    second: Answer | None


@dataclass(frozen=True, slots=True)
class VersionComparison:
    """Two versions; `no_distance` is the reason if there is no distance."""

    first: VersionFacts
    second: VersionFacts
    answers: list[AnswerChanges]
    distance: WeightDistance | None
    no_distance: str = ""


def compare_versions(workspace: Workspace, db: Database, first: int, second: int) -> VersionComparison:
    """Compare two versions by number, 0 for the base alone. Raises WrongUseError if a number does not exist."""
    one, other = version_facts(workspace, db, first), version_facts(workspace, db, second)
    distance, why_not = None, ""
    if ROOT in {first, second}:
        why_not = "v0000 is the base model alone: it has no adapter"
    else:
        try:
            distance = weight_distance(*(_weights(workspace, db, number) for number in (first, second)))
        except SealError as error:
            why_not = error.message
    return VersionComparison(one, other, _answers(db, one, other), distance, why_not)


def _weights(workspace: Workspace, db: Database, number: int) -> bytes:
    return version_adapter_files(workspace, db, number)[WEIGHTS_NAME]


def _answers(db: Database, one: VersionFacts, other: VersionFacts) -> list[AnswerChanges]:
    tasks = {facts.task.id: facts.task for facts in (one, other) if facts.task is not None}
    ids = [question.id for task in tasks.values() for question in task.questions]
    by_first = recorded_answers(db, ids, model_state(db, one.number))
    by_second = recorded_answers(db, ids, model_state(db, other.number))
    return [
        AnswerChanges(task.title, question, by_first.get(question.id), by_second.get(question.id))
        for task in tasks.values()
        for question in task.questions
    ]
