"""The format of a published SEAL run file, and its reading with errors that name the file and the JSON path.

Only the format is checked here; `records.py` turns it into records and checks its figures.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.input_files.strict_json import JsonProblemError, parse_strict_json
from engine.loop.reward import Spread, accuracy, mean_and_spread
from store.errors import WrongUseError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


_MAX_SHOWN = 20


class _PublishedPart(BaseModel):
    """What all parts share: values are taken as they are; keys that are not named here are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False, protected_namespaces=())


class PublishedQuestion(_PublishedPart):
    """One question in one repeat, with both answers and the judge's verdicts."""

    rep: int = Field(ge=0)
    question: str
    answer: str
    baseline_answer: str
    adapter_answer: str
    baseline_correct: bool
    adapter_correct: bool


class PublishedCompletion(_PublishedPart):
    """One self-edit with its figures; `questions` are those of all repeats, one repeat after the other."""

    text: str
    stats: dict[str, float]
    questions: list[PublishedQuestion] = Field(min_length=1)

    def repeats(self) -> list[list[PublishedQuestion]]:
        """Return the questions of each repeat."""
        numbers = sorted({question.rep for question in self.questions})
        return [[question for question in self.questions if question.rep == number] for number in numbers]


class PublishedArticle(_PublishedPart):
    """One passage with its self-edits."""

    title: str
    context: str
    prompt: str
    stats: dict[str, float]
    completions: list[PublishedCompletion] = Field(min_length=1)


class PublishedFile(_PublishedPart):
    """A whole run."""

    overall: dict[str, float]
    timestamp: str
    model: str = ""
    exp_name: str = ""
    dataset: str
    split_newlines: bool
    n_articles: int
    k_completions: int
    eval_times: int
    lora_params: dict[str, int | float]
    articles: list[PublishedArticle] = Field(min_length=1)


def parse_published_file(content: bytes, path: Path) -> PublishedFile:
    """Check the format of a run file; raises WrongUseError with the JSON path of every problem."""
    try:
        data = parse_strict_json(content.decode("utf-8"))
        json.dumps(data, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError as error:
        raise refusal(path, [f"not UTF-8 at byte {error.start}"]) from error
    except UnicodeEncodeError as error:
        raise refusal(path, ["contains half a surrogate pair, which is not a character"]) from error
    except JsonProblemError as error:
        raise refusal(path, [error.message if error.line is None else f"line {error.line}: {error.message}"]) from error
    try:
        run = PublishedFile.model_validate(data)
    except ValidationError as error:
        problems = [f"{json_path(detail['loc'])}: {detail['msg']}" for detail in error.errors(include_url=False)]
        raise refusal(path, problems) from error
    problems = _uneven_questions(run)
    if problems:
        raise refusal(path, problems)
    return run


def json_path(loc: tuple[int | str, ...]) -> str:
    """Write a place in JSON as in "articles[3].completions[1].text"."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return text.removeprefix(".") or "the file"


def refusal(path: Path, problems: list[str]) -> WrongUseError:
    """Return the error for a file that is not a published run; only the first problems are listed, with the count."""
    shown = [f"{path.name}: {problem}" for problem in problems[:_MAX_SHOWN]]
    if len(problems) > len(shown):
        shown.append(f"{path.name}: and {len(problems) - len(shown)} more")
    return WrongUseError(
        f"{path}: not a published SEAL run",
        problems=shown,
        next_step="Pass a file written by SEAL's query_server, such as rank_iter0.json.",
    )


def _uneven_questions(run: PublishedFile) -> list[str]:
    """Return the places where a repeat has other questions than the passage's first repeat."""
    problems = []
    for number, article in enumerate(run.articles):
        wanted = _asked(article.completions[0].repeats()[0])
        for position, completion in enumerate(article.completions):
            for repeat, questions in enumerate(completion.repeats()):
                if _asked(questions) != wanted:
                    place = json_path(("articles", number, "completions", position, "questions"))
                    problems.append(f"{place}: repeat {repeat} has other questions than the first one")
    return problems


def _asked(questions: list[PublishedQuestion]) -> list[tuple[str, str]]:
    return [(question.question, question.answer) for question in questions]


# The file rounds to four decimals, and sums of rounded figures drift a little further.
TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class _MeanGain:
    """Accuracies of one self-edit over its repeats."""

    before: Spread
    after: Spread


def differences(run: PublishedFile) -> list[str]:
    """Return each figure of the file that differs by more than the tolerance, with its JSON path and both values."""
    found = [
        f"{key}: the file says {said}, it has {counted}"
        for key, said, counted in (
            ("n_articles", run.n_articles, len(run.articles)),
            ("k_completions", run.k_completions, max(len(article.completions) for article in run.articles)),
            ("eval_times", run.eval_times, max(len(c.repeats()) for a in run.articles for c in a.completions)),
        )
        if said != counted
    ]
    per_article = [[_measure(completion) for completion in article.completions] for article in run.articles]
    for number, (article, measured) in enumerate(zip(run.articles, per_article, strict=True)):
        found += _of_article(number, article, measured)
    found += _compare(("overall",), run.overall, _overall(per_article))
    return found


def _measure(completion: PublishedCompletion) -> _MeanGain:
    repeats = completion.repeats()
    return _MeanGain(
        mean_and_spread([accuracy([question.baseline_correct for question in row]) for row in repeats]),
        mean_and_spread([accuracy([question.adapter_correct for question in row]) for row in repeats]),
    )


def _of_article(number: int, article: PublishedArticle, measured: list[_MeanGain]) -> Iterator[str]:
    for position, (completion, own) in enumerate(zip(article.completions, measured, strict=True)):
        figures = {
            "baseline_mean": own.before.mean,
            "baseline_std": own.before.std,
            "adapter_mean": own.after.mean,
            "adapter_std": own.after.std,
            "gain_mean": own.after.mean - own.before.mean,
        }
        yield from _compare(("articles", number, "completions", position, "stats"), completion.stats, figures)
    before = mean(own.before.mean for own in measured)
    after = mean_and_spread([own.after.mean for own in measured])
    figures = {
        "baseline_accuracy": before,
        "adapter_mean_accuracy": after.mean,
        "adapter_std_over_completions": after.std,
        "mean_adapter_std_within_completions": mean(own.after.std for own in measured),
        "mean_gain": after.mean - before,
    }
    yield from _compare(("articles", number, "stats"), article.stats, figures)


def _overall(per_article: list[list[_MeanGain]]) -> dict[str, float]:
    before = mean_and_spread([mean(own.before.mean for own in measured) for measured in per_article])
    after_of_article = [mean_and_spread([own.after.mean for own in measured]) for measured in per_article]
    after = mean_and_spread([of_article.mean for of_article in after_of_article])
    return {
        "baseline_mean_accuracy": before.mean,
        "baseline_std_of_article_means": before.std,
        "adapter_mean_accuracy": after.mean,
        "adapter_std_of_article_means": after.std,
        "mean_adapter_std_over_completions": mean(of_article.std for of_article in after_of_article),
        "mean_adapter_std_within_completions": mean(own.after.std for measured in per_article for own in measured),
        "mean_gain": after.mean - before.mean,
    }


def _compare(place: tuple[str | int, ...], said: dict[str, float], figures: dict[str, float]) -> Iterator[str]:
    for key, value in figures.items():
        if key not in said:
            yield f"{json_path((*place, key))}: not in the file, recomputed {value:.4f}"
        elif abs(said[key] - value) > TOLERANCE:
            yield f"{json_path((*place, key))}: the file says {said[key]:.4f}, recomputed {value:.4f}"
