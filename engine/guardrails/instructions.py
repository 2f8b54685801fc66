"""The kind `instructions`: commands to a model that a context brought along into a self-edit.

It finds usual wordings in four languages, the marks of chat templates and tool calls, invisible characters, and long
runs of base64. A command in other words is not found: this is a net, not a proof.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, get_args

import regex
from pydantic import AfterValidator, BeforeValidator, Field, Strict

from engine.guardrails.invisible import hidden_in
from engine.guardrails.rule import Check, Match, MatchReport
from engine.guardrails.texts import MASK, excerpt, line_at, visible
from engine.input_files.input_model import LARGEST_COUNT, Texts, as_list, typed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.guardrails.rule import CheckInput, TextPart

InstructionKind = Literal["phrases", "roles", "tool-calls", "invisible", "base64"]
KINDS: tuple[InstructionKind, ...] = get_args(InstructionKind)
_WORDS: dict[InstructionKind, str] = {
    "phrases": "a command to a model",
    "roles": "a mark of a chat template",
    "tool-calls": "a mark of a tool call",
    "invisible": "invisible text",
    "base64": "a run of base64",
}
_FORGET = r"(?:ignore|disregard|forget|override|bypass)"
_EARLIER = r"(?:previous|prior|above|earlier|preceding|foregoing|system|your|all|any|the|these|of|my)"
_ORDERS = r"(?:instructions?|prompts?|directions?|rules|guidelines|messages?|commands?|constraints|context)"
_PHRASES = (
    rf"\b{_FORGET}\s+(?:{_EARLIER}\s+){{1,5}}{_ORDERS}\b",
    rf"\b{_FORGET}\s+(?:everything|all|anything)\s+(?:that\s+)?(?:you|was|were|above|before)\b",
    r"\b(?:from\s+now\s+on,?\s+)?you\s+are\s+(?:now|no\s+longer)\s+(?:an?\s+|the\s+|bound\b|restricted\b|(?-i:\p{Lu})\w)",
    r"\bfrom\s+now\s+on,?\s+(?:you|always|never|respond|answer|reply)\b",
    r"\b(?:new|updated|hidden|secret|real)\s+(?:system\s+)?(?:instructions?|prompt)\s*:",
    (
        r"\b(?:reveal|print|show|repeat|leak|output)\s+(?:me\s+)?(?:your|the)\s+(?:hidden\s+|full\s+|entire\s+)?"
        r"(?:system\s+prompt|initial\s+prompt|instructions)\b"
    ),
    r"\b(?:do|must)\s+not\s+(?:tell|inform|(?:mention|reveal)\s+(?:this\s+)?to)\s+the\s+(?:user|operator|human)\b",
    r"\b(?:pretend|act)\s+(?:to\s+be|as\s+if\s+you|as\s+though\s+you|as\s+an?\s+(?:unrestricted|uncensored))\b",
    r"\b(?:developer|jailbreak|god|dan)\s+mode\b",
    (
        r"\bignorier\w*\s+(?:alle\w*\s+|die\w*\s+|deine\w*\s+|bisherig\w*\s+|vorherig\w*\s+|obig\w*\s+){1,4}"
        r"(?:anweisung\w*|instruktion\w*|regeln|befehl\w*)"
    ),
    r"\bignore[zr]?\s+(?:toutes?\s+|les\s+|tes\s+|vos\s+|ces\s+){1,3}(?:instructions|consignes|règles|directives)\b",
    (
        r"\bignor[ae]\w*\s+(?:todas?\s+|las\s+|los\s+|tus\s+|sus\s+|estas\s+){1,3}"
        r"(?:instrucciones|reglas|órdenes|indicaciones)\b"
    ),
)
_ROLES = (
    r"<\|[\w ./-]{1,40}\|>",
    r"<｜[^｜\n]{1,40}｜>",
    r"\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS)\]",
    r"<</?SYS>>",
    r"</?(?:start_of_turn|end_of_turn|system|assistant|sys|im_start|im_end)>",
    r"^[ \t]*#{2,4}[ \t]*(?:system|instruction|instructions|assistant|human|user|response|input)[ \t]*:",
    r"^[ \t]*(?:human|assistant)[ \t]*:",
)
_TOOL_CALLS = (
    r"</?(?:\w{1,20}:)?(?:tool_(?:calls?|use|response|result)|function_calls?|invoke)\b[^>\n]{0,80}>",
    r"<function=[\w.-]{1,60}>",
    r"\[TOOL_(?:CALLS|RESULTS)\]",
    r"[\"'](?:tool_calls|function_call|tool_use_id)[\"']\s*:",
    r"```tool_(?:code|call)\b",
)
_FLAGS = regex.IGNORECASE | regex.MULTILINE


def _any_of(expressions: tuple[str, ...]) -> regex.Pattern[str]:
    return regex.compile("|".join(f"(?:{one})" for one in expressions), _FLAGS)


_EXPRESSIONS = {"phrases": _any_of(_PHRASES), "roles": _any_of(_ROLES), "tool-calls": _any_of(_TOOL_CALLS)}
_BASE64 = regex.compile(r"[A-Za-z0-9+/_-]{24,}={0,2}")


def _in_fixed_order(kinds: tuple[InstructionKind, ...]) -> tuple[InstructionKind, ...]:
    return tuple(kind for kind in KINDS if kind in kinds)


class InstructionCheck(Check):
    """What to look for; `phrases` adds wordings, `base64_characters` is the shortest run of base64 that counts."""

    kinds: Annotated[
        tuple[InstructionKind, ...],
        Field(min_length=1, validation_alias="find"),
        BeforeValidator(as_list),
        AfterValidator(_in_fixed_order),
    ] = KINDS
    base64_characters: Annotated[int, Field(ge=24, le=LARGEST_COUNT), Strict(), BeforeValidator(typed)] = 80
    phrases: Texts = ()

    def find(self, looked_at: CheckInput) -> MatchReport:
        """Return each place, and whether the context contains the same text."""
        document = _plain(looked_at.document)
        matches = (
            Match(part.where, line, _WORDS[kind], excerpt(shown), self._is_in(kind, text, document, looked_at))
            for part in looked_at.parts
            for kind in self.kinds
            for line, text, shown in self._found(kind, part)
        )
        return MatchReport(tuple(matches))

    def says(self) -> str:
        """Name what is looked for."""
        return "nothing that commands a model: " + ", ".join(_WORDS[kind].removeprefix("a ") for kind in self.kinds)

    def _found(self, kind: InstructionKind, part: TextPart) -> Iterator[tuple[int, str, str]]:
        """Yield the line of each place, the text there, and what evidence shows of that text."""
        if kind == "invisible":
            for hidden in hidden_in(part.text):
                shown = f"{hidden.name}, which spells “{hidden.says}”" if hidden.says else hidden.name
                yield line_at(part.text, hidden.start), hidden.text, shown
            return
        text = visible(part.text)
        expressions = [_BASE64] if kind == "base64" else [_EXPRESSIONS[kind]]
        if kind == "phrases" and self.phrases:
            expressions.append(_any_of(tuple(_as_expression(phrase) for phrase in self.phrases)))
        for expression in expressions:
            for found in expression.finditer(text):
                if kind != "base64" or self._is_base64(found.group()):
                    start = found.start() + len(found.group()) - len(found.group().lstrip())
                    yield line_at(text, start), found.group(), _shown(kind, found.group())

    def _is_base64(self, text: str) -> bool:
        """A long word or a hash does not count: upper case, lower case and digits must be mixed."""
        is_mixed = all(regex.search(part, text) for part in ("[A-Z]", "[a-z]", r"\d"))
        return len(text) >= self.base64_characters and is_mixed

    def _is_in(self, kind: InstructionKind, text: str, document: str, looked_at: CheckInput) -> bool | None:
        if looked_at.task is None:
            return None
        return text in looked_at.document if kind == "invisible" else _plain(text) in document


def _plain(text: str) -> str:
    return " ".join(visible(text).casefold().split())


def _shown(kind: InstructionKind, text: str) -> str:
    """A run of base64 may be a key, so evidence keeps only its length."""
    return f"{MASK} ({len(text)} characters)" if kind == "base64" else text


def _as_expression(phrase: str) -> str:
    return r"\s+".join(regex.escape(word) for word in visible(phrase).split())
