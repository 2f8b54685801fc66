"""How questions are put to a model, found from the settings and the model's folder, without loading it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from engine.bundled import BUNDLED

if TYPE_CHECKING:
    from engine.domains.domain import PromptForm

PromptStyle = Literal["auto", "chat", "few-shot", "plain"]


def prompt_form(model_path: str, style: PromptStyle) -> PromptForm:
    """Return what `model.prompt_style` says, or what suits the model if that is auto.

    The bundled model has learnt to answer plain questions; another one without a chat template is shown how.
    """
    if style != "auto":
        return style
    if model_path == BUNDLED:
        return "plain"
    return "chat" if _has_chat_template(Path(model_path).expanduser()) else "few-shot"


def _has_chat_template(folder: Path) -> bool:
    if (folder / "chat_template.jinja").is_file():
        return True
    try:
        return "chat_template" in json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
