"""How lm-evaluation-harness ends, filters and judges answers, brought to exams; what has no match is a problem.

Exams are greedy, end an answer at the end of its line, and are as long as `exam.max_new_tokens`. A task that means
anything else is refused, so that no figure looks like the harness's own and is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.retention.answer_part import AnswerPart, pattern_problem
from engine.tasks.drafts import SourceReader, kind_of

if TYPE_CHECKING:
    from engine.tasks.sources import TaskSource

_LINE_END = "\n"
_GREEDY = {"do_sample": (False,), "temperature": (0, None), "top_p": (1, None)}
_FILTERS = ("take_first", "remove_whitespace", "lowercase", "regex")
_FALLBACK = "[invalid]"
_METRICS = {"generate_until": ("exact_match",), "multiple_choice": ("acc", "acc_norm")}
_METRIC_KEYS = ("metric", "aggregation", "higher_is_better", "ignore_case", "ignore_punctuation")


def answer_part(reader: SourceReader, data: dict[str, Any]) -> AnswerPart:
    """Return which part of a text is the answer, from `generation_kwargs` and `filter_list`; reports what it cannot."""
    until = _until(reader, data.get("generation_kwargs"))
    pattern, find = _pattern(reader, data.get("filter_list"))
    return AnswerPart(until, pattern, find)


def metric_problems(source: TaskSource, data: dict[str, Any], output_type: str, own_grader: bool) -> list[str]:
    """Say which metrics no grader stands for; those of written answers do not count where the suite names a grader."""
    reader = SourceReader(source)
    metrics = data.get("metric_list")
    if metrics is None or (own_grader and output_type == "generate_until"):
        return []
    if not isinstance(metrics, list):
        return [f"{source.place(('metric_list',))}: metric_list must be a list (is {kind_of(metrics)})"]
    known = _METRICS[output_type]
    for index, entry in enumerate(metrics):
        path = ("metric_list", index)
        if not isinstance(entry, dict) or entry.get("metric") not in known:
            named = entry.get("metric") if isinstance(entry, dict) else entry
            hint = "; or name a grader in the suite" if output_type == "generate_until" else ""
            reader.report(path, f"metric_list: {named!r} says of no single answer whether it is right as a grader "
                          f"does; known: {', '.join(known)}{hint}")  # fmt: skip
        else:
            reader.unknown_keys(entry, _METRIC_KEYS, path)
    return reader.problems


def _until(reader: SourceReader, options: object) -> tuple[str, ...]:
    path = ("generation_kwargs",)
    advice = r'until: exams end an answer at the end of its line; write until: ["\n"]'
    if not isinstance(options, dict):
        reader.report(path, f"generation_kwargs.{advice}")
        return ()
    for key, value in options.items():
        if key in _GREEDY and value not in _GREEDY[key]:
            reader.report((*path, key), f"generation_kwargs.{key}: exams are greedy; leave the key out")
        elif key == "max_gen_toks":
            reader.report((*path, key), "generation_kwargs.max_gen_toks: exam.max_new_tokens of seal.yaml says how "
                          "long answers are; leave the key out")  # fmt: skip
        elif key not in (*_GREEDY, "until"):
            reader.report((*path, key), f"generation_kwargs.{key} has no match in exams; leave the key out")
    given = options.get("until")
    ends = [given] if isinstance(given, str) else given
    if not isinstance(ends, list) or not all(isinstance(end, str) and end for end in ends) or _LINE_END not in ends:
        reader.report((*path, "until"), f"generation_kwargs.{advice}")
        return ()
    return tuple(end for end in ends if _LINE_END not in end)


def _pattern(reader: SourceReader, given: object) -> tuple[str, int]:
    if given is None:
        return "", 0
    steps = _steps(given)
    if steps is None:
        reader.report(("filter_list",), "filter_list must hold one filter, with the functions that it runs")
        return "", 0
    found = ("", 0)
    for index, step in enumerate(steps):
        path = ("filter_list", 0, "filter", index)
        if step.get("function") not in _FILTERS:
            reader.report(path, f"filter_list: {step.get('function')!r} has no match; known: {', '.join(_FILTERS)}")
        elif step["function"] != "regex":
            continue
        elif found[0] or any(earlier.get("function") == "lowercase" for earlier in steps[:index]):
            reader.report(path, "filter_list: regex may stand only once, and not after lowercase")
        else:
            found = _regex(reader, step, path)
    return found


def _steps(given: object) -> list[dict[str, Any]] | None:
    pipeline = given[0] if isinstance(given, list) and len(given) == 1 else None
    steps = pipeline.get("filter") if isinstance(pipeline, dict) else None
    if isinstance(steps, list) and all(isinstance(step, dict) for step in steps):
        return steps
    return None


def _regex(reader: SourceReader, step: dict[str, Any], path: tuple[str | int, ...]) -> tuple[str, int]:
    reader.unknown_keys(step, ("function", "regex_pattern", "group_select", "fallback"), path)
    pattern, find = step.get("regex_pattern"), step.get("group_select", 0)
    problem = pattern_problem(pattern) if isinstance(pattern, str) and pattern else "missing"
    if problem:
        reader.report((*path, "regex_pattern"), f"filter_list: regex_pattern: {problem}")
        return "", 0
    if not isinstance(find, int) or isinstance(find, bool):
        reader.report((*path, "group_select"), "filter_list: group_select must be a whole number")
        return "", 0
    if step.get("fallback", _FALLBACK) != _FALLBACK:
        reader.report((*path, "fallback"), "filter_list: fallback: where nothing is found the answer is wrong")
    return str(pattern), find
