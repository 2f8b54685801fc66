"""The forgetting matrix: how much of every accepted edit each version of a lineage still knows. Loads no model.

Rows are versions, from v0000 (the base) to the newest; columns are the edits that made them; a cell is the share of the
edit's questions that the version answers correctly, or None if some of its answers are not recorded. The derived
figures follow Lopez-Paz and Ranzato 2017, "Gradient Episodic Memory" (arXiv 1706.08840, section 2). What a later edit
updated on purpose counts as forgotten here too.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING, Any

from engine.retention.earlier import edits_in, lineage
from store.answers import model_state, recorded_answers
from store.version_tags import version_tag

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlite_utils import Database


Share = float | None


@dataclass(frozen=True, slots=True)
class MatrixColumn:
    """An edit: the tag of the version that it made, its task's title, and its number of questions."""

    version: str
    task: str
    questions: int


@dataclass(frozen=True, slots=True)
class Matrix:
    """`cells[i][j]` is the share (0 … 1) of edit j's questions that version i answers correctly; row 0 is the base."""

    rows: tuple[str, ...]
    columns: tuple[MatrixColumn, ...]
    cells: tuple[tuple[Share, ...], ...]


def recorded_matrix(db: Database, version: int | None) -> Matrix:
    """Return the matrix of the lineage that ends in `version`, from recorded answers."""
    versions = lineage(db, version)
    edits = edits_in(db, versions)
    columns = {edit.version.tag: [question.id for question in edit.task.questions] for edit in edits}
    questions = [question_id for of_edit in columns.values() for question_id in of_edit]
    numbers = [0, *(one.number for one in versions)]
    rows = {}
    for number in numbers:
        answers = recorded_answers(db, questions, model_state(db, number)).values()
        rows[version_tag(number)] = {answer.question_id: answer.correct for answer in answers}
    named = tuple(MatrixColumn(edit.version.tag, edit.task.title, len(edit.task.questions)) for edit in edits)
    return Matrix(tuple(rows), named, cells_of(list(rows.values()), list(columns.values())))


def cells_of(
    right_by_row: Sequence[Mapping[str, bool]], questions_by_column: Sequence[Sequence[str]]
) -> tuple[tuple[Share, ...], ...]:
    """Return the share of each column's questions that each row has right, or None if an answer is missing."""
    return tuple(tuple(_share(right, of_column) for of_column in questions_by_column) for right in right_by_row)


def figures(matrix: Matrix) -> dict[str, Any]:
    """Return the figures of each edit and of the lineage; a figure whose cells are not all known is None.

    For an edit: before it, right after it (`learnt`), and now. For the lineage: the mean of `now`, and backward
    transfer, the mean of `now` − `learnt` over all edits except the newest: below 0 is forgetting.
    """
    cells = matrix.cells
    edits = [
        _of_edit(column, cells[place][place], cells[place + 1][place], cells[-1][place])
        for place, column in enumerate(matrix.columns)
    ]
    asked = [edit for edit in edits if edit["questions"]]  # an imported adapter has none
    return {
        "edits": edits,
        "mean_gained": _mean([edit["gained"] for edit in asked]),
        "mean_now": _mean([edit["now"] for edit in asked]),
        "backward_transfer": _mean([_difference(edit["now"], edit["learnt"]) for edit in asked[:-1]]),
    }


def _of_edit(column: MatrixColumn, before: Share, learnt: Share, now: Share) -> dict[str, Any]:
    return {
        "version": column.version,
        "task": column.task,
        "questions": column.questions,
        "before": before,
        "learnt": learnt,
        "now": now,
        "gained": _difference(learnt, before),
    }


def _share(right: Mapping[str, bool], questions: Sequence[str]) -> Share:
    if not questions or any(question_id not in right for question_id in questions):
        return None
    return sum(right[question_id] for question_id in questions) / len(questions)


def _difference(one: Share, other: Share) -> Share:
    return None if one is None or other is None else one - other


def _mean(values: Sequence[Share]) -> Share:
    known = [value for value in values if value is not None]
    return mean(known) if known and len(known) == len(values) else None
