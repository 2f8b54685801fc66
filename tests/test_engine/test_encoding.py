"""How text becomes tokens: as the tokenizer itself begins it, through its template, and never as special tokens."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from tokenizers import processors
from transformers.utils import chat_template_utils

from engine.bank.encode import encode_with
from engine.domains.knowledge.domain import KnowledgeDomain
from engine.lab.bundled_model.tokenizer import build_tokenizer
from engine.model.encoding import TextEncoder
from store.errors import WrongUseError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from engine.domains.domain import PromptForm
    from engine.domains.prompt_form import PromptStyle

PLAIN = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"


def tokenizer(template: str | None = None, *, begins: bool = False) -> PreTrainedTokenizerBase:
    """The bundled tokenizer; with `begins` its post-processor puts a token before each text, as that of Llama 3."""
    made = build_tokenizer()
    made.chat_template = template
    if begins:
        made.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single="<|pad|> $A", pair="<|pad|> $A <|pad|> $B", special_tokens=[("<|pad|>", 1)]
        )
    return made


def rendered(template: str, text: str = "who?") -> str:
    made = tokenizer(template)
    decoded: str = made.decode(TextEncoder(made).prompt(text))
    return decoded


def test_prompts_and_training_begin_as_the_tokenizer_begins_them() -> None:
    encoder = TextEncoder(tokenizer(begins=True))
    whole = encoder.tokenizer("Paris is")["input_ids"]
    assert whole[0] == 1
    assert encoder.start("Paris is") == encoder.prompt("Paris is") == whole
    assert encoder.training("Paris is") == [*whole, encoder.tokenizer.eos_token_id]
    assert encoder.text("Paris is") == whole[1:]
    assert TextEncoder(tokenizer()).start("Paris is") == whole[1:]


@pytest.mark.parametrize("template", [None, PLAIN])
def test_words_that_look_like_special_tokens_stay_text(template: str | None) -> None:
    encoder = TextEncoder(tokenizer(template))
    special = encoder.tokenizer.eos_token
    text = f"It ends with {special} here."
    for tokens in (encoder.text(text), encoder.start(text), encoder.prompt(text), encoder.training(text)[:-1]):
        assert encoder.tokenizer.eos_token_id not in tokens
        assert text in encoder.tokenizer.decode(tokens)


def test_a_template_keeps_its_own_special_tokens() -> None:
    template = "<|pad|>{{ messages[0].content }}<|endoftext|>"
    for text in ("who?", "who <|endoftext|>?"):
        tokens = TextEncoder(tokenizer(template)).prompt(text)
        assert (tokens[0], tokens[-1]) == (1, 0)
        assert 0 not in tokens[:-1]


def test_a_prompt_is_what_the_tokenizer_makes_of_the_template() -> None:
    made = tokenizer(PLAIN, begins=True)
    messages = [{"role": "user", "content": "who?"}]
    expected = made.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert TextEncoder(made).prompt("who?") == list(expected)


SWITCH = PLAIN + "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}"


@pytest.mark.parametrize(
    ("template", "ending"),
    [
        (PLAIN, "<assistant>"),
        (SWITCH, "<assistant><think>\n\n</think>\n\n"),  # Qwen 3: asked not to think
        (PLAIN + "<think>\n", "<assistant><think>\n\n</think>\n\n"),  # always opens a thought
        ("{% set x = '</think>' %}" + PLAIN, "<assistant><think>\n\n</think>\n\n"),  # knows thoughts, has no switch
    ],
)
def test_thoughts_are_skipped(template: str, ending: str) -> None:
    assert rendered(template) == f"<user>who?{ending}"


def test_a_prompt_is_the_same_on_another_day(monkeypatch: pytest.MonkeyPatch) -> None:
    llama = "{% if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}"
    own = "{{ strftime_now('%Y-%m-%d') }}"
    before = [rendered(template + PLAIN) for template in (llama + "{{ date_string }}", own)]
    monkeypatch.setattr(chat_template_utils, "datetime", FixedClock)
    assert [rendered(template + PLAIN) for template in (llama + "{{ date_string }}", own)] == before
    assert before[0].startswith("26 Jul 2024")


class FixedClock:
    @staticmethod
    def now() -> datetime:
        return datetime(2031, 1, 2, tzinfo=UTC)


def test_templates_of_multimodal_models_take_the_text_as_a_part() -> None:
    template = (
        "{% for part in messages[0].content %}{% if part.type == 'text' %}[{{ part.text }}]{% endif %}{% endfor %}"
    )
    assert rendered(template) == "[who?]"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ messages[0].role }}", "leaves out what the user says"),
        ("{{ raise_exception('system first') }}", "system first"),
        ("{% for %}", "cannot be used"),
        ("{% set f = '%H:%M' %}{{ strftime_now(f) }}" + PLAIN, "writes the current time"),
    ],
)
def test_a_template_that_cannot_ask_a_question_is_refused(template: str, said: str) -> None:
    with pytest.raises(WrongUseError, match=said) as refused:
        TextEncoder(tokenizer(template)).check()
    assert "prompt_style: plain" in refused.value.next_step
    TextEncoder(tokenizer(template), "plain").check()
    TextEncoder(tokenizer(PLAIN)).check()


CHATML = (
    "{% for m in messages %}<|pad|>{{ m.role }}\n{{ m.content }}<|endoftext|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|pad|>assistant\n{% endif %}"
)


def test_a_turn_ends_as_the_template_ends_it() -> None:
    encoder = TextEncoder(tokenizer(CHATML))
    assert encoder.tokenizer.decode(encoder.turn_end) == "<|endoftext|>"
    assert TextEncoder(tokenizer()).turn_end == [encoder.tokenizer.eos_token_id]


def test_a_template_that_ends_turns_by_another_token_than_the_end_of_sequence() -> None:
    template = "{% for m in messages %}{{ m.content }}<|pad|>{% endfor %}"
    assert TextEncoder(tokenizer(template)).turn_end == [1]


@pytest.mark.parametrize(
    ("template", "style", "shown"),
    [
        (
            CHATML,
            "auto",
            "<|pad|>user\nQuestion: Who leads it?\nAnswer in a few words:<|endoftext|>\n<|pad|>assistant\n",
        ),
        (CHATML, "plain", "Question: Who leads it?\nAnswer:"),
    ],
)
def test_training_shows_a_question_as_the_exam_puts_it(template: str, style: PromptStyle, shown: str) -> None:
    encoder = TextEncoder(tokenizer(template), style)
    form: PromptForm = "chat" if style == "auto" else "plain"
    domain = KnowledgeDomain("self-qa", "default", 16, form)
    asked = encoder.tokenizer.decode(encoder.prompt(domain.question_prompt("Who leads it?")))
    assert asked == shown
    tokens, start = encode_with(encoder, domain.anchor("Question: Who leads it?\nAnswer: Nora"))
    assert encoder.tokenizer.decode(tokens[:start]) == shown
    assert encoder.tokenizer.decode(tokens[start:]).lstrip() == "Nora<|endoftext|>"
