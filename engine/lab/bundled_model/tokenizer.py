"""The bundled tokenizer: one token for each word of the bundled language, bytes for everything else.

It is a Qwen2 tokenizer, so transformers loads it without extra code, and it has no merges: the words are added tokens,
listed rather than learnt, so every value and every syllable is one token by construction. Text outside the language is
encoded without loss, one token per byte.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tokenizers import AddedToken, pre_tokenizers
from transformers import PreTrainedTokenizerBase, Qwen2Tokenizer

from engine.bundled.vocabulary import FIRST_SYLLABLES, SECOND_SYLLABLES, VALUES
from engine.bundled.world import EMPTY_TALK, KINDS
from engine.domains.knowledge.templates import FORMATS, exam_prompt, prompt_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

END_OF_TEXT = "<|endoftext|>"
PADDING = "<|pad|>"
CONTEXT_LENGTH = 1024
_WORD = re.compile(r" ?[A-Za-z]+")


def _texts() -> Iterator[str]:
    for kind in KINDS:
        yield from kind.openers
        for relation in kind.relations:
            yield from (*relation.questions, *relation.statements, *relation.clauses, relation.change)
    yield from EMPTY_TALK
    yield "Release notes for {n}."
    for edit_format in FORMATS:
        yield prompt_for(edit_format, "", "")
    yield exam_prompt("")


def _words() -> list[str]:
    """Return every word of the language, with the space before it if it can have one, in a fixed order."""
    plain = [re.sub(r"\{[nvo]\}", "", text) for text in _texts()]
    inside_a_paragraph = [f" {text}" for text in plain if text[:1].isalpha()]
    words = {word for text in plain + inside_a_paragraph for word in _WORD.findall(text)}
    words |= {f" {value}" for values in VALUES.values() for value in values}
    words |= {f"{space}{first}" for first in FIRST_SYLLABLES for space in ("", " ")}
    words |= set(SECOND_SYLLABLES)
    return sorted(word for word in words if len(word) > 1)


def build_tokenizer() -> PreTrainedTokenizerBase:
    """Make the tokenizer; needs no corpus and no seed."""
    alphabet = [END_OF_TEXT, PADDING, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Qwen2Tokenizer(
        vocab={piece: index for index, piece in enumerate(alphabet)},
        merges=[],
        pad_token=PADDING,
        model_max_length=CONTEXT_LENGTH,
    )
    tokenizer.add_tokens([AddedToken(word, normalized=False, special=False) for word in _words()])
    return tokenizer


def save_tokenizer(folder: Path) -> None:
    """Write tokenizer.json and its configuration into a folder."""
    build_tokenizer().save_pretrained(folder)
