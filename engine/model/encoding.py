"""How text becomes tokens: as the model's own tokenizer begins it, and through its chat template if there is one.

Words that look like special tokens stay text: a document cannot end a turn. A template is asked not to think, since an
answer is graded and not a thought, and always renders the same day, so that a prompt is the same tomorrow.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from store.errors import WrongUseError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_DAY = datetime(2024, 7, 26, tzinfo=UTC)
_PROBE, _PROBE_ANSWER = "seal probe", "seal reply"
_TODAY = re.compile(r"strftime_now\(\s*(?P<quote>['\"])(?P<form>.*?)(?P=quote)\s*\)")
_OPEN_THOUGHT = re.compile(r"<think>\s*\Z")

_Content = str | list[dict[str, str]]


@dataclass(frozen=True)
class TextEncoder:
    """Encodes for one tokenizer; `style` is model.prompt_style: auto, chat, few-shot or plain."""

    tokenizer: PreTrainedTokenizerBase
    style: str = "auto"

    @property
    def uses_chat_template(self) -> bool:
        """Whether prompts go through the tokenizer's chat template."""
        if self.style == "auto":
            return bool(getattr(self.tokenizer, "chat_template", None))
        return self.style == "chat"

    def text(self, text: str) -> list[int]:
        """Return the tokens of a text, without any that the tokenizer adds."""
        return list(self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True))

    def start(self, text: str) -> list[int]:
        """Return the tokens of a text that is continued as is: begun as the tokenizer begins a text."""
        return self._prefix + self.text(text)

    def training(self, text: str) -> list[int]:
        """Return the tokens of a training sequence: begun as the tokenizer begins a text, with the end of sequence."""
        end = self.tokenizer.eos_token_id
        return self.start(text) + ([] if end is None else [int(end)])

    def prompt(self, text: str) -> list[int]:
        """Return the tokens of a prompt: a user's turn in the chat template, or the start of a text."""
        if not self.uses_chat_template:
            return self.start(text)
        if not any(token in text for token in self.tokenizer.all_special_tokens):
            return self._parse(self._render(text))
        before, _, after = self._render(_PROBE).partition(_PROBE)
        return self._parse(before) + self.text(text) + self._parse(after)

    @cached_property
    def turn_end(self) -> list[int]:
        """The tokens by which the model ends its own turn: those of the template up to a special one, or the end of
        sequence.
        """
        end = self.tokenizer.eos_token_id
        fallback = [] if end is None else [int(end)]
        if not self.uses_chat_template:
            return fallback
        _, found, after = self._apply(self._content(_PROBE), self._content(_PROBE_ANSWER)).rpartition(_PROBE_ANSWER)
        tokens = self._parse(after) if found else []
        special = set(self.tokenizer.all_special_ids)
        first = next((place for place, token in enumerate(tokens) if token in special), None)
        return fallback if first is None else tokens[: first + 1]

    def check(self) -> None:
        """Raise WrongUseError if the chat template cannot render a user's turn, or leaves its text out."""
        if not self.uses_chat_template:
            return
        plain = "set model.prompt_style: plain in seal.yaml to ask without the template"
        try:
            rendered = self._render(_PROBE)
        except Exception as error:  # a template is a program of the model's author and may raise anything
            raise WrongUseError(
                f"the model's chat template cannot be used: {type(error).__name__}: {error}", next_step=plain
            ) from error
        if _PROBE not in rendered:
            raise WrongUseError("the model's chat template leaves out what the user says", next_step=plain)
        if "strftime_now(" in self._template():
            raise WrongUseError("the model's chat template writes the current time into every prompt", next_step=plain)

    @cached_property
    def _prefix(self) -> list[int]:
        """The tokens that the tokenizer puts before a text, such as the beginning of sequence."""
        text = self.tokenizer.encode(_PROBE, add_special_tokens=False)
        whole = self.tokenizer.encode(_PROBE)
        places = range(len(whole) - len(text) + 1)
        return next((list(whole[:at]) for at in places if whole[at : at + len(text)] == text), [])

    @cached_property
    def _takes_parts(self) -> bool:
        """Whether the template reads a turn as a list of parts, as those of multimodal models do."""
        return _PROBE not in self._apply(_PROBE) and _PROBE in self._apply([{"type": "text", "text": _PROBE}])

    def _parse(self, rendered: str) -> list[int]:
        return list(self.tokenizer.encode(rendered, add_special_tokens=False))

    def _render(self, text: str) -> str:
        """Render a user's turn and the start of the answer; a thought that the template opens is closed."""
        rendered = self._apply(self._content(text))
        if _OPEN_THOUGHT.search(rendered):
            return f"{rendered.rstrip()}\n\n</think>\n\n"
        thinks = "</think>" in self._template()
        return f"{rendered}<think>\n\n</think>\n\n" if thinks and "<think>" not in rendered else rendered

    def _content(self, text: str) -> _Content:
        return [{"type": "text", "text": text}] if self._takes_parts else text

    def _apply(self, content: _Content, answer: _Content | None = None) -> str:
        """Render a user's turn, with the start of the answer or with a whole answer."""
        answered = [] if answer is None else [{"role": "assistant", "content": answer}]
        rendered: Any = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": content}, *answered],
            chat_template=self._template(),
            tokenize=False,
            add_generation_prompt=answer is None,
            enable_thinking=False,
            date_string=f"{_DAY:%d %b %Y}",
        )
        return str(rendered)

    def _template(self) -> str:
        """Return the template with one fixed day in place of today."""
        template = str(self.tokenizer.get_chat_template())
        return _TODAY.sub(lambda call: repr(_DAY.strftime(call["form"])), template)
