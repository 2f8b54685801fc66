"""Builds the prompts of suites that name a task of lm-evaluation-harness: its documents, examples, prompts and targets.

The prompts are those that the harness itself would put, examples included; a limit only leaves some out. It is for the
engine's process: data sets are read into memory here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.retention.reading import asked_in_anchors, read_retention, unreadable
from engine.retention.suites import Choices, Retention, RetentionPrompt
from engine.tasks.checking import check_grader
from engine.tasks.drafts import QuestionDraft
from store.hashing import hash_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.retention.harness_documents import AskedDocument
    from engine.retention.suites import HarnessPrompts, Suite
    from store.workspace import Workspace

_MOST_NAMED = 5
_DEFAULT_DELIMITER = " "
_FEWEST_OPTIONS = 2


def full_retention(workspace: Workspace) -> Retention:
    """Read a workspace's suites with all their prompts; raises WrongUseError that lists every problem."""
    return built(read_retention(workspace))


def built(retention: Retention) -> Retention:
    """Return the suites with the prompts that were still to be built; raises WrongUseError that lists every problem."""
    if not any(suite.to_build for suite in retention.suites):
        return retention
    suites: list[Suite] = []
    problems: list[str] = []
    for suite in retention.suites:
        prompts, found = build(suite.to_build) if suite.to_build else (suite.prompts, [])
        problems += found
        suites.append(replace(suite, prompts=tuple(prompts), to_build=None))
    problems += asked_in_anchors(suites)
    if problems:
        raise unreadable(problems, "Correct the task file or its data, then begin again.")
    return Retention(tuple(suites))


def build(wanted: HarnessPrompts) -> tuple[list[RetentionPrompt], list[str]]:
    """Return the prompts of a task and all problems. A prompt that comes again is left out."""
    try:
        from engine.retention.harness_documents import asked_documents  # noqa: PLC0415 - an extra, which may be missing

        asked = asked_documents(wanted.task)
    except Exception as error:  # noqa: BLE001 - harness and templates raise anything; it becomes a problem
        return [], [f"{wanted.place}: the harness cannot build {wanted.task.file}: {type(error).__name__}: {error}"]
    prompts: dict[str, RetentionPrompt] = {}
    problems: list[str] = []
    prompt_of = _choice if wanted.task.output_type == "multiple_choice" else _written
    for number, one in enumerate(asked, start=1):
        found = prompt_of(wanted, f"{wanted.task.file}: document {number}", one)
        if isinstance(found, RetentionPrompt):
            prompts.setdefault(found.identity, found)
        else:
            problems += found
    if not asked:
        problems.append(f"{wanted.place}: {wanted.task.file} has no document")
    more = len(problems) - _MOST_NAMED
    return drawn(list(prompts.values()), wanted.limit), problems[:_MOST_NAMED] + (
        [f"{wanted.place}: and {more} more of {wanted.task.file}"] if more > 0 else []
    )


def drawn(prompts: Sequence[RetentionPrompt], limit: int | None) -> list[RetentionPrompt]:
    """Return at most `limit` prompts, those whose text has the lowest hash, in the order of the documents."""
    chosen = set(sorted(range(len(prompts)), key=lambda place: (hash_json(prompts[place].text), place))[:limit])
    return [prompt for place, prompt in enumerate(prompts) if place in chosen]


def _written(wanted: HarnessPrompts, place: str, one: AskedDocument) -> RetentionPrompt | list[str]:
    accepted = one.target if isinstance(one.target, list) else [one.target]
    answers = ["" if answer is None else str(answer).strip() for answer in accepted]
    if not isinstance(one.prompt, str) or not one.prompt.strip():
        return [f"{place}: doc_to_text gives no text"]
    if not answers or not all(answers):
        return [f"{place}: doc_to_target gives no answer"]
    grader, options = wanted.grader, wanted.grader_options
    problems = list(check_grader(QuestionDraft(place, one.prompt, answers, grader, options, None)))
    accepted_once = tuple(dict.fromkeys(answers))
    return problems or RetentionPrompt(
        one.prompt, True, accepted_once, grader, options, wanted.group, place, part=wanted.task.part
    )


def _choice(wanted: HarnessPrompts, place: str, one: AskedDocument) -> RetentionPrompt | list[str]:
    if not isinstance(one.prompt, str) or not one.prompt.strip():
        return [f"{place}: doc_to_text gives no text; choices between several prompts cannot be asked"]
    options = one.options if isinstance(one.options, list) else []
    if len(options) < _FEWEST_OPTIONS or not all(isinstance(option, str) and option for option in options):
        return [f"{place}: doc_to_choice gives no list of two or more texts"]
    right = [_option(target, options) for target in (one.target if isinstance(one.target, list) else [one.target])]
    answers = [option for option in right if option is not None]
    if not right or len(answers) < len(right):
        return [f"{place}: doc_to_target gives {one.target!r}, which is none of the choices"]
    delimiter = wanted.task.config.get("target_delimiter", _DEFAULT_DELIMITER)
    choices = Choices(tuple(options), delimiter, wanted.task.per_character)
    accepted_once = tuple(dict.fromkeys(answers))
    return RetentionPrompt(one.prompt, True, accepted_once, wanted.grader, {}, wanted.group, place, choices=choices)


def _option(target: object, options: Sequence[str]) -> str | None:
    if isinstance(target, int) and not isinstance(target, bool):
        return options[target] if 0 <= target < len(options) else None
    return target if isinstance(target, str) and target in options else None
