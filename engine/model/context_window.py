"""How long a context may be for a model, found from its folder alone, without loading the model or torch.

It follows what generation requires: prompt and self-edit together must fit the window. A chat template's own tokens are
only estimated, so a context at the very limit may still be refused when a round begins.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer

from engine.model.model_folder import model_folder, text_config
from engine.tasks.task_input import TaskRoom
from store.errors import WrongUseError
from store.records import Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.settings.sections import Settings

_EMPTY_TASK = Task(id="", title="", context="", source="", added_at="")
_CHAT_TEMPLATE_TOKENS = 64
_WINDOW_KEYS = ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx")
_ROPES_OF_THE_BATCH = ("longrope", "dynamic")


def window_of(model_path: str) -> int | None:
    """Return the longest sequence that the model was made for, in tokens; None if its folder does not say."""
    try:
        config = json.loads((model_folder(model_path) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return window_in(config) if isinstance(config, dict) else None


def window_in(config: dict[str, Any]) -> int | None:
    """Return the longest sequence that a configuration allows, in tokens; None if it does not say.

    Rotary embeddings whose factors depend on the longest sequence of a batch ("longrope", "dynamic") are used up to the
    length that the model was first trained with: beyond it, an answer would depend on what is asked next to it.
    """
    config = text_config(config)
    found = [config.get(key) for key in _WINDOW_KEYS]
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if isinstance(rope, dict) and rope.get("rope_type", rope.get("type")) in _ROPES_OF_THE_BATCH:
        first = rope.get("original_max_position_embeddings", config.get("original_max_position_embeddings"))
        found = [first, *found]
    return next((value for value in found if isinstance(value, int) and value > 0), None)


def token_counter(model_path: str) -> Callable[[str], int] | None:
    """Return a function that counts a text's tokens; None if the folder has no tokenizer.json.

    Raises WrongUseError if that file cannot be read as a tokenizer.
    """
    path = model_folder(model_path) / "tokenizer.json"
    if not path.is_file():
        return None
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises plain Exception for a file that it cannot read
        raise WrongUseError(
            f"{path} cannot be read as a tokenizer: {error}", next_step="model.path in seal.yaml"
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def count(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False).ids)

    return count


def room_for_tasks(settings: Settings) -> TaskRoom | None:
    """Return the room for contexts and answers under these settings; None if it cannot be known."""
    count, window = token_counter(settings.model.path), window_of(settings.model.path)
    if count is None or window is None:
        return None
    window = min(window, settings.model.max_length or window)
    taken = count(settings.make_domain().prompt(_EMPTY_TASK)) + settings.self_edit.max_new_tokens
    form = settings.prompt_form
    if form == "chat":
        taken += _CHAT_TEMPLATE_TOKENS
    return TaskRoom(count, window - taken, settings.exam.max_new_tokens, one_line=form != "chat")
