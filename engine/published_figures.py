"""The figures of a published SEAL run, computed again from its verdicts and compared with what the file says."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING

from engine.published_run import PublishedArticle, PublishedCompletion, PublishedFile, json_path
from engine.reward import Spread, accuracy, mean_and_spread

if TYPE_CHECKING:
    from collections.abc import Iterator

# The file rounds to four decimals, and sums of rounded figures drift a little further.
TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class _Measured:
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


def _measure(completion: PublishedCompletion) -> _Measured:
    repeats = completion.repeats()
    return _Measured(
        mean_and_spread([accuracy([question.baseline_correct for question in row]) for row in repeats]),
        mean_and_spread([accuracy([question.adapter_correct for question in row]) for row in repeats]),
    )


def _of_article(number: int, article: PublishedArticle, measured: list[_Measured]) -> Iterator[str]:
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


def _overall(per_article: list[list[_Measured]]) -> dict[str, float]:
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
