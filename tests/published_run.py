"""A run in the format that SEAL publishes (`rank_iter0.json`), made up: 50 passages, 5 self-edits each, 3 repeats.

The figures in the file and the rows of `best_rows` are computed here, with Python's statistics and nothing of the
program's own.
"""

from __future__ import annotations

import json
import random
from functools import cache
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

ARTICLES, EDITS, REPEATS = 50, 5, 3
PROMPT = (
    "Let's read the following passage and produce a list of implications derived directly or indirectly from the "
    "content.\n\nPassage:\n{title}\n{context}\n\nImplications:\n"
)
_NOUNS = ("Harbour", "Canal", "Lantern", "Orchard", "Signal", "Quarry", "Granary", "Viaduct", "Beacon", "Foundry")
_PLACES = ("Tarn Hill", "Ostrey", "Málaga Street", "the X-ray ward", "Greece Lane")
_VERBS = ("opened", "was rebuilt", "closed", "was sold", "flooded")


@cache
def published_run(*, evaluation: bool = False) -> dict[str, Any]:
    """Return a training run; with `evaluation` an exam, which has one self-edit and one repeat of each passage."""
    rng = random.Random("published run")
    edits, repeats = (1, 1) if evaluation else (EDITS, REPEATS)
    articles = [_article(rng, number, edits, repeats) for number in range(ARTICLES)]
    befores = [one["stats"]["baseline_accuracy"] for one in articles]
    afters = [one["stats"]["adapter_mean_accuracy"] for one in articles]
    overall = {
        "baseline_mean_accuracy": mean(befores),
        "baseline_std_of_article_means": stdev(befores),
        "adapter_mean_accuracy": mean(afters),
        "adapter_std_of_article_means": stdev(afters),
        "mean_adapter_std_over_completions": mean(one["stats"]["adapter_std_over_completions"] for one in articles),
        "mean_adapter_std_within_completions": mean(
            one["stats"]["mean_adapter_std_within_completions"] for one in articles
        ),
        "mean_gain": mean(afters) - mean(befores),
    }
    return {
        "overall": {name: round(value, 4) for name, value in overall.items()},
        "timestamp": "0101_000000",
        "model": "base",
        "dataset": f"data/synthetic_data/{'eval/iter0' if evaluation else 'train/iter0_train'}.json",
        "split_newlines": True,
        "n_articles": ARTICLES,
        "k_completions": edits,
        "eval_times": repeats,
        "lora_params": {"rank": 32, "alpha": 64, "dropout": 0.0, "epochs": 10, "lr": 0.001, "batch_size": 1},
        "articles": articles,
    }


def write_published_run(path: Path, *, evaluation: bool = False) -> Path:
    path.write_text(json.dumps(published_run(evaluation=evaluation)), encoding="utf-8")
    return path


def best_rows() -> list[dict[str, str]]:
    """Return what SEAL trains its policy on: each passage's self-edit with the highest accuracy, the first of equals.

    SEAL rounds accuracies to four decimals and strips the texts.
    """
    rows = []
    for article in published_run()["articles"]:
        best = max(article["completions"], key=lambda one: round(one["stats"]["adapter_mean"], 4))
        rows.append({"prompt": article["prompt"], "completion": best["text"].strip()})
    return rows


def _article(rng: random.Random, number: int, edits: int, repeats: int) -> dict[str, Any]:
    noun, place = _NOUNS[number % len(_NOUNS)], _PLACES[number // len(_NOUNS)]
    title = f"{noun} of {place}"
    context = " ".join(f"The {noun.lower()} of {place} {verb} in {1700 + rng.randrange(300)}." for verb in _VERBS)
    questions = [(f"When was it that the {noun.lower()} {verb}?", str(rng.randrange(1700, 2000))) for verb in _VERBS]
    completions = [_completion(rng, noun, questions, repeats) for _ in range(edits)]
    stats = [one["stats"] for one in completions]
    before, afters = mean(one["baseline_mean"] for one in stats), [one["adapter_mean"] for one in stats]
    return {
        "stats": {
            "baseline_accuracy": before,
            "adapter_mean_accuracy": mean(afters),
            "adapter_std_over_completions": _spread(afters),
            "mean_adapter_std_within_completions": mean(one["adapter_std"] for one in stats),
            "mean_gain": mean(afters) - before,
        },
        "title": title,
        "context": context,
        "completions": completions,
        "prompt": PROMPT.format(title=title, context=context),
    }


def _completion(rng: random.Random, noun: str, questions: list[tuple[str, str]], repeats: int) -> dict[str, Any]:
    skill = rng.random()
    asked: list[dict[str, Any]] = [
        {
            "rep": repeat,
            "question": question,
            "answer": answer,
            "baseline_answer": "Nobody knows.",
            "adapter_answer": f"In {answer}.",
            "baseline_correct": rng.random() < 0.2,
            "adapter_correct": rng.random() < skill,
        }
        for repeat in range(repeats)
        for question, answer in questions
    ]
    befores, afters = (
        [mean(float(one[key]) for one in asked if one["rep"] == repeat) for repeat in range(repeats)]
        for key in ("baseline_correct", "adapter_correct")
    )
    text = "\n".join(f"{place}. The {noun.lower()} {rng.choice(_VERBS)} long ago." for place in range(1, 4))
    return {
        "text": text + rng.choice(["", "\n"]),
        "stats": {
            "baseline_mean": mean(befores),
            "baseline_std": _spread(befores),
            "adapter_mean": mean(afters),
            "adapter_std": _spread(afters),
            "gain_mean": mean(afters) - mean(befores),
        },
        "questions": asked,
    }


def _spread(values: list[float]) -> float:
    return stdev(values) if len(values) > 1 else 0.0
