"""The forgetting matrix as a pure function of answers, and its figures worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.retention.matrix import Matrix, MatrixColumn, cells_of, figures

COLUMNS = (MatrixColumn("v0001", "Cups", 4), MatrixColumn("v0002", "Forks", 4), MatrixColumn("v0003", "Plates", 4))
ROWS = ("v0000", "v0001", "v0002", "v0003")


def matrix(*cells: tuple[float | None, ...]) -> Matrix:
    return Matrix(ROWS[: len(cells)], COLUMNS[: len(cells) - 1], cells)


def test_a_cell_is_the_share_of_the_edits_questions_that_a_version_has_right() -> None:
    right = [{"a": False, "b": False, "c": True}, {"a": True, "b": False, "c": True}]
    assert cells_of(right, [["a", "b"], ["c"]]) == ((0.0, 1.0), (0.5, 1.0))


def test_a_cell_with_a_missing_answer_is_unknown() -> None:
    assert cells_of([{"a": True}, {}], [["a", "b"], ["a"]]) == ((None, 1.0), (None, None))


def test_the_figures_of_a_lineage_as_worked_out_by_hand() -> None:
    found = figures(
        matrix((0.0, 0.25, 0.0), (1.0, 0.25, 0.0), (0.5, 0.75, 0.25), (0.25, 1.0, 1.0)),
    )
    assert [edit["before"] for edit in found["edits"]] == [0.0, 0.25, 0.25]
    assert [edit["learnt"] for edit in found["edits"]] == [1.0, 0.75, 1.0]
    assert [edit["now"] for edit in found["edits"]] == [0.25, 1.0, 1.0]
    assert found["mean_gained"] == pytest.approx((1.0 + 0.5 + 0.75) / 3)
    assert found["mean_now"] == pytest.approx(0.75)
    assert found["backward_transfer"] == pytest.approx((-0.75 + 0.25) / 2)


def test_a_figure_over_unknown_cells_is_unknown() -> None:
    found = figures(matrix((0.0, 0.0), (None, 0.0), (0.5, 1.0)))
    assert found["mean_gained"] is None
    assert found["mean_now"] == 0.75
    assert found["backward_transfer"] is None


def test_a_single_edit_has_no_backward_transfer() -> None:
    assert figures(matrix((0.0,), (1.0,)))["backward_transfer"] is None
    assert figures(Matrix(("v0000",), (), ((),)))["mean_now"] is None


@given(st.integers(1, 3), st.data())
def test_a_lineage_that_forgets_nothing_has_no_negative_transfer(edits: int, data: st.DataObject) -> None:
    shares = data.draw(st.lists(st.floats(0, 1), min_size=edits, max_size=edits))
    cells = tuple(
        tuple(share if row > column else 0.0 for column, share in enumerate(shares)) for row in range(edits + 1)
    )
    found = figures(matrix(*cells))
    assert [edit["now"] for edit in found["edits"]] == shares
    assert found["backward_transfer"] in {None, 0.0}
