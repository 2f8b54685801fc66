"""Reads a judge's reply: exactly one JSON object of the agreed form, or the reason why it counts as no answer. Pure.

Judges can be fooled by empty or formulaic replies (":" or "Thought process:", arXiv 2507.08794), so nothing is picked
out of a longer text and no missing key is made up. That an answer of the right form is a wise one is not said.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.strict_json import JsonProblemError, parse_strict_json

KEYS = ("allowed", "rule", "reason")
MOST_CHARACTERS = 4000


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a judge said of a self-edit."""

    allowed: bool
    rule: str
    reason: str


class UnusableReplyError(ValueError):
    """A reply is no answer; the message says why."""


def parse_reply(content: str) -> Opinion:
    """Return the opinion that a reply holds; raises UnusableReplyError for everything else."""
    text = content.strip()
    if not text:
        raise UnusableReplyError("the reply is empty")
    if len(text) > MOST_CHARACTERS:
        raise UnusableReplyError(f"the reply is longer than {MOST_CHARACTERS:,} characters")
    try:
        value = parse_strict_json(text)
    except JsonProblemError as error:
        raise UnusableReplyError(f"the reply is not one JSON object: {error.message}") from error
    return _opinion(value)


def content_of(body: bytes) -> str:
    """Return the text of a chat completion's only choice; raises UnusableReplyError where there is no such text."""
    try:
        value = parse_strict_json(body.decode("utf-8"))
    except (UnicodeDecodeError, JsonProblemError) as error:
        raise UnusableReplyError("the response is not JSON in UTF-8") from error
    choices = value.get("choices") if isinstance(value, dict) else None
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        raise UnusableReplyError("the response is no chat completion with one choice")
    message = choices[0].get("message")
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, str) or not _is_unicode(content):
        raise UnusableReplyError("the response's message has no text")
    return content


def _opinion(value: object) -> Opinion:
    if not isinstance(value, dict):
        raise UnusableReplyError("the reply is not one JSON object")
    unknown = [key for key in value if key not in KEYS]
    missing = [key for key in KEYS if key not in value]
    if unknown or missing:
        raise UnusableReplyError(f"the reply must have the keys {', '.join(KEYS)} and no other")
    allowed, rule, reason = (value[key] for key in KEYS)
    if not isinstance(allowed, bool):
        raise UnusableReplyError("allowed must be true or false")
    if not (isinstance(rule, str) and isinstance(reason, str) and _is_unicode(rule) and _is_unicode(reason)):
        raise UnusableReplyError("rule and reason must be texts")
    if not any(character.isalpha() for character in reason):
        raise UnusableReplyError("the reason says nothing")
    return Opinion(allowed, rule, reason)


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
