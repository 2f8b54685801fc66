"""A text in a table's column takes exactly the column's cells, whatever it is made of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.style import Style

from seal_console.console.widgets.table_columns import fit_text

PLAIN = Style()
texts = st.one_of(st.text(max_size=40), st.text(st.characters(max_codepoint=126), max_size=40))


def shown(text: str, cells: int, *, right: bool = False) -> str:
    return "".join(segment.text for segment in fit_text(text, cells, PLAIN, right=right))


@given(texts, st.integers(1, 30), st.booleans())
def test_a_text_takes_exactly_the_cells_of_its_column(text: str, cells: int, right: bool) -> None:
    assert cell_len(shown(text, cells, right=right)) == cells


@given(texts, st.integers(1, 30))
def test_no_control_character_gets_through(text: str, cells: int) -> None:
    assert all(character.isprintable() or ord(character) >= 0xA0 for character in shown(text, cells))


@pytest.mark.parametrize(
    ("text", "right", "expected"),
    [
        ("oak", False, "oak   "),
        ("oak", True, "   oak"),
        ("mahogany", False, "mahog…"),
        ("mahogany", True, "mahog…"),
        ("", False, "      "),
        ("größer als", False, "größe…"),
        ("木材", False, "木材  "),
        ("木材木材", False, "木材 …"),
        ("a\tb\n", False, "a→b⏎  "),
    ],
)
def test_it_is_padded_or_cut_with_a_sign(text: str, right: bool, expected: str) -> None:
    assert shown(text, 6, right=right) == expected
