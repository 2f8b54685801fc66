from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from engine.domains.knowledge.templates import prompt_for
from engine.model.context_window import room_for_tasks, token_counter, window_of
from engine.model.model_folder import model_folder
from engine.settings.sections import Settings
from store.errors import WrongUseError

if TYPE_CHECKING:
    from pathlib import Path

    from store.workspace import Workspace
    from tests.test_console.cli_scenario import CliCaller


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model folder without weights: a window of 300, and words as tokens."""
    folder = tmp_path / "model"
    folder.mkdir()
    tokenizer = Tokenizer(WordLevel({"?": 0}, unk_token="?"))  # noqa: S106 - no password
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.enable_truncation(4)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps({"max_position_embeddings": 300}))
    return folder


def settings_for(folder: Path, **model: object) -> Settings:
    return Settings.model_validate({"model": {"path": str(folder), **model}})


def test_window_and_tokens_of_a_folder(model: Path) -> None:
    assert window_of(str(model)) == 300
    count = token_counter(str(model))
    assert count is not None
    assert count("a b c d e f") == 6
    (model / "config.json").write_text('{"n_positions": 7}')
    assert window_of(str(model)) == 7


def test_room_is_what_prompt_and_self_edit_leave(model: Path) -> None:
    words_of_prompt = len(prompt_for("implications", "", "").split())
    room = room_for_tasks(settings_for(model))
    assert room is not None
    assert room.context_tokens == 300 - 192 - words_of_prompt
    shorter = room_for_tasks(settings_for(model, max_length=250))
    assert shorter is not None
    assert shorter.context_tokens == room.context_tokens - 50
    (model / "chat_template.jinja").write_text("x")
    chat = room_for_tasks(settings_for(model))
    plain = room_for_tasks(settings_for(model, prompt_style="plain"))
    assert chat is not None
    assert plain is not None
    assert chat.context_tokens < plain.context_tokens


def test_what_is_not_there_is_none_and_what_is_broken_is_named(model: Path, tmp_path: Path) -> None:
    assert window_of(str(tmp_path / "none")) is None
    assert token_counter(str(tmp_path / "none")) is None
    assert room_for_tasks(settings_for(tmp_path / "none")) is None
    (model / "config.json").write_text("[")
    assert window_of(str(model)) is None
    (model / "tokenizer.json").write_text("[")
    with pytest.raises(WrongUseError, match=r"tokenizer\.json"):
        token_counter(str(model))
    assert model_folder("bundled").parts[-3:] == ("engine", "bundled", "model")


def test_tasks_that_are_too_long_are_refused(workspace: Workspace, model: Path, call: CliCaller) -> None:
    workspace.settings_file.write_text(f"model: {{path: {json.dumps(str(model))}}}\n")
    for name, words in (("short", 20), ("long", 200)):
        (workspace.tasks_folder / f"{name}.txt").write_text("word " * words)
        (workspace.tasks_folder / f"{name}.questions.yaml").write_text("- {question: q, answer: word}\n")
    called = call("tasks", "add")
    assert called.code == 2
    assert called.err.count("  • ") == 1
    assert "tasks/long" in called.err
    assert "201 tokens" in called.err
