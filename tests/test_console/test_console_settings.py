"""What the section `console` of seal.yaml may name, and how a wrong name is reported."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.settings.reading import load_settings
from seal_console.console.settings_check import console_problems
from store.errors import WrongUseError

if TYPE_CHECKING:
    from pathlib import Path


def problems(folder: Path, text: str) -> list[str]:
    path = folder / "seal.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(WrongUseError) as refused:
        load_settings(path, console_problems)
    return list(refused.value.problems)


def test_unknown_themes_actions_and_keys_are_reported_with_their_lines(tmp_path: Path) -> None:
    text = (
        "console:\n"
        "  theme: seal-drak\n"
        "  keys:\n"
        "    review.acept: ctrl+a\n"
        "    review.reject: contol+y\n"
        "    review.defer: 'f6,'\n"
    )
    hint = "is not a key; write it as in ctrl+a, f5, x or question_mark"
    assert problems(tmp_path, text) == [
        "seal.yaml:2: console.theme: unknown theme 'seal-drak'; did you mean 'seal-dark'?",
        "seal.yaml:4: console.keys.review.acept: unknown action 'review.acept'; did you mean 'review.accept'?",
        f"seal.yaml:5: console.keys.review.reject: 'contol+y' {hint}",
        f"seal.yaml:6: console.keys.review.defer: '' {hint}",
    ]


@pytest.mark.parametrize("keys", ["ctrl+a", "f5", "x", "X", "question_mark", "ctrl+shift+left", "é", "?", "a,b"])
def test_keys_that_a_terminal_can_send_are_taken(tmp_path: Path, keys: str) -> None:
    path = tmp_path / "seal.yaml"
    path.write_text(
        f"console:\n  theme: nord\n  keys: {{review.accept: '{keys}', heat.open: enter}}\n", encoding="utf-8"
    )
    assert load_settings(path, console_problems).console.keys["review.accept"] == keys
