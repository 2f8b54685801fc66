"""The section `red_team` of guardrails.yaml: prompts, and the refusal patterns used if a prompt has none of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.guardrails.options import OptionReader, SectionReader
from engine.guardrails.patterns import pattern_texts
from engine.guardrails.red_team import DEFAULT_REFUSALS, MUSTS, Must, RedTeamPrompt
from engine.guardrails.rule import VERDICTS
from engine.guardrails.texts import folded_words
from engine.tasks.checking import check_grader
from engine.tasks.drafts import QuestionDraft, kind_of

if TYPE_CHECKING:
    from collections.abc import Sequence

SECTION_KEYS = ("refusals", "prompts")
_OF_EVERY_PROMPT = ("name", "question", "prompt", "must", "verdict", "group")
OWN_KEYS: dict[Must, tuple[str, ...]] = {
    "refuse": ("patterns",),
    "answer": ("answers", "grader", "grader_options"),
    "not_say": ("patterns", "texts"),
}
_LONGEST_NAME = 60
_DEFAULT_GRADER = "exact"


def read_red_team(section: SectionReader) -> tuple[RedTeamPrompt, ...]:
    """Return the prompts of the section, with problems noted."""
    if not isinstance(section.values, dict):
        section.reader.report(section.path, f"red_team must have the key prompts (is {kind_of(section.values)})")
        return ()
    options = OptionReader(section.reader, section.values, section.written, section.path)
    options.reader.unknown_keys(options.written, SECTION_KEYS, options.path)
    refusals = pattern_texts(options, "refusals", DEFAULT_REFUSALS)
    entries = options.values.get("prompts")
    if not isinstance(entries, list) or not entries:
        options.report(f"prompts must be a list with at least one prompt (is {kind_of(entries)})", "prompts")
        return ()
    prompts: list[RedTeamPrompt] = []
    places: dict[str, str] = {}
    for index, (values, written) in enumerate(zip(entries, options.written["prompts"], strict=True)):
        path = (*section.path, "prompts", index)
        if not isinstance(values, dict):
            message = f"a prompt must have the keys name, question (or prompt) and must (is {kind_of(values)})"
            section.reader.report(path, message)
            continue
        own = OptionReader(section.reader, values, written, path)
        prompt = _prompt(own, refusals)
        earlier = places.setdefault(prompt.name.casefold(), prompt.place)
        if prompt.name and earlier != prompt.place:
            own.report(f"the prompt is named '{prompt.name}', as that of {earlier} is", "name")
        prompts.append(prompt)
    return tuple(prompts)


def _prompt(options: OptionReader, refusals: Sequence[str]) -> RedTeamPrompt:
    before, values = len(options.reader.problems), options.values
    must = _must(options)
    if must is not None:
        options.reader.unknown_keys(options.written, (*_OF_EVERY_PROMPT, *OWN_KEYS[must]), options.path)
    answers = options.texts("answers") if must == "answer" else ()
    patterns = pattern_texts(options, "patterns", refusals if must == "refuse" else ()) if must != "answer" else ()
    prompt = RedTeamPrompt(
        name=_line(options, "name", required=True),
        text=_text(options),
        as_it_stands="prompt" in options.written,
        must=must or "refuse",
        verdict=options.name("verdict", VERDICTS, "deny"),
        group=_line(options, "group"),
        patterns=patterns,
        texts=_texts(options) if must == "not_say" else (),
        answers=answers,
        grader=options.text("grader", _DEFAULT_GRADER),
        grader_options=options.reader.options(values.get("grader_options", {}), (*options.path, "grader_options")),
        place=options.reader.source.place(options.path),
    )
    if len(options.reader.problems) == before:
        _check_wanted(options, prompt)
    return prompt


def _must(options: OptionReader) -> Must | None:
    if "must" not in options.written:
        options.report(f"must missing; known are {', '.join(MUSTS)}")
        return None
    given = options.text("must", "")
    options.name("must", MUSTS, "refuse")
    return next((must for must in MUSTS if must == given), None)


def _line(options: OptionReader, key: str, *, required: bool = False) -> str:
    if key not in options.written:
        if required:
            options.report(f"{key} missing: the prompt's own {key}")
        return ""
    line = options.text(key, "")
    if isinstance(options.written[key], str) and not line.strip():
        options.report(f"the {key} is empty", key)
    if len(line) > _LONGEST_NAME or not line.isprintable():
        options.report(f"the {key} must be a line of at most {_LONGEST_NAME} characters", key)
    return line


def _text(options: OptionReader) -> str:
    if ("question" in options.written) == ("prompt" in options.written):
        found = "both question and prompt" if "question" in options.written else "neither question nor prompt"
        options.report(f"has {found}; give one of the two")
        return ""
    key = "question" if "question" in options.written else "prompt"
    text = options.text(key, "")
    if isinstance(options.written[key], str) and not text.strip():
        options.report(f"the {key} is empty", key)
    return text


def _texts(options: OptionReader) -> tuple[str, ...]:
    texts = options.texts("texts")
    for text in texts:
        if not folded_words(text):
            options.report(f"{text!r} holds no word; use patterns for it", "texts")
    return texts


def _check_wanted(options: OptionReader, prompt: RedTeamPrompt) -> None:
    """Note what can never hold, or never fail."""
    if prompt.must == "answer" and not prompt.answers:
        options.report("answers missing: the accepted ones")
    elif prompt.must == "answer":
        wanted = (list(prompt.answers), prompt.grader, prompt.grader_options)
        options.reader.problems += check_grader(QuestionDraft(prompt.place, prompt.text, *wanted, split=None))
    elif prompt.must == "not_say" and not (prompt.patterns or prompt.texts):
        options.report("has neither texts nor patterns that must not be said")
