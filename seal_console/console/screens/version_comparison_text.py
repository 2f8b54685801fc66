"""Two versions side by side, as a text."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from seal_console.console.content import (
    assemble,
    format_time,
    heading,
    lines,
    muted,
    right_or_wrong,
    safe,
    safe_line,
    side_by_side,
)
from seal_console.console.screens.version_card import pointer_names
from seal_console.format import gain, gain_of_repeats, short_id
from seal_console.render_recipe import render_replay
from store.version_tags import version_tag
from store.wording import counted

if TYPE_CHECKING:
    from textual.content import Content

    from seal_console.queries.version_comparison import AnswerChanges, VersionComparison
    from seal_console.queries.versions import VersionFacts
    from store.records import Answer

_RECIPE = ("rank", "alpha", "learning_rate", "epochs", "batch_size", "target_modules")


def comparison_text(compared: VersionComparison, cells: int) -> Content:
    """Write the comparison for a width in cells: answers, weights, figures and provenance."""
    first, second = compared.first, compared.second
    rows: list[Content] = [heading("Recorded answers"), *_answers(compared), safe("")]
    rows += [heading("Weights"), *_weights(compared), safe("")]
    rows += [heading("Figures and provenance"), muted("≠ marks differences")]
    one, other = dict(_provenance(first)), dict(_provenance(second))
    names = [*one, *(name for name in other if name not in one)]
    rows += side_by_side([("", first.tag, second.tag)], cells)
    rows += side_by_side([(name, one.get(name, "–"), other.get(name, "–")) for name in names], cells)
    for facts in (first, second):
        if facts.candidate is not None:
            rows += [safe(""), heading(f"Self-edit of {facts.tag}"), safe(facts.candidate.completion)]
    return lines(*rows)


def _answers(compared: VersionComparison) -> list[Content]:
    first, second = compared.first.tag, compared.second.tag
    if not compared.answers:
        return [muted("Neither has a task, so they share no questions.")]
    counts = Counter(_outcome(one) for one in compared.answers)
    words = {
        (True, True): "both right",
        (True, False): f"only {first} right",
        (False, True): f"only {second} right",
        (False, False): "both wrong",
    }
    outcomes = [f"{counts[key]} {meaning}" for key, meaning in words.items() if counts[key]]
    unasked = sum(count for key, count in counts.items() if None in key)
    outcomes += [f"{unasked} not answered by one or both"] if unasked else []
    rows = [safe(f"{counted(len(compared.answers), 'question')}: " + ", ".join(outcomes))]
    title = ""
    for one in compared.answers:
        if one.task_title != title:
            title = one.task_title
            rows.append(assemble((title, "bold")))
        rows += [
            assemble((f"{one.question.split:<7}", "$text-muted"), safe_line(one.question.text)),
            assemble(("       expected ", "$text-muted"), safe_line(" / ".join(one.question.answers))),
            _answer_line(first, one.first),
            _answer_line(second, one.second),
        ]
    return rows


def _outcome(one: AnswerChanges) -> tuple[bool | None, bool | None]:
    return (one.first.correct if one.first else None, one.second.correct if one.second else None)


def _answer_line(tag: str, answer: Answer | None) -> Content:
    if answer is None:
        return assemble(f"       {tag} ", ("· not answered", "$text-muted"))
    return assemble(f"       {tag} ", right_or_wrong(answer.correct), "  ", safe_line(answer.text, limit=300))


def _weights(compared: VersionComparison) -> list[Content]:
    distance = compared.distance
    if distance is None:
        return [muted(f"No distance: {compared.no_distance}.")]
    relative = "" if distance.relative is None else f", {distance.relative:.1%} of the size of {compared.first.tag}"
    matrices = counted(distance.tensors, "matrix", "matrices")
    return [
        safe(f"Euclidean distance {distance.norm:,.4g}{relative}, over {matrices}"),
        muted("Between the stored LoRA matrices A and B, not their products."),
    ]


def _provenance(facts: VersionFacts) -> list[tuple[str, str]]:
    rows = [("status", pointer_names(facts.pointers) or "not live")]
    version, candidate, task = facts.version, facts.candidate, facts.task
    if version is None or candidate is None or task is None:
        return [*rows, ("adapter", "none: the base model alone")]
    size = f"{counted(len(candidate.completion), 'character')}, {counted(len(candidate.sequences), 'sequence')}"
    rows += [
        ("reward", gain_of_repeats(candidate.reward_mean, candidate.reward_std, facts.stored.repeats)),
        ("audit gain", gain(candidate.audit_gain)),
        ("parent", version_tag(version.parent_number or 0)),
        ("task", task.title),
        ("round", str(candidate.round_number)),
        ("candidate", short_id(candidate.id)),
        ("accepted by", version.accepted_by),
        ("reason", version.reason),
        ("accepted at", format_time(version.created_at)),
        ("commit", version.commit),
        ("adapter", short_id(version.adapter_hash)),
        ("self-edit", size),
    ]
    return rows + _from_manifest(facts.stored.manifest)


def _from_manifest(manifest: dict[str, Any]) -> list[tuple[str, str]]:
    base = [str(value) for value in (manifest.get("base") or {}).values()]
    rows = [("base", ", ".join(short_id(one) if one.startswith("sha256:") else one for one in base))]
    for update in (manifest.get("inner_updates") or [])[:1]:
        recipe = update.get("hyperparameters") or {}
        rows += [(name.replace("_", " "), str(recipe[name])) for name in _RECIPE if name in recipe]
        rows.append(("replayed", render_replay(recipe)))
        rows.append(("training steps", str(update.get("steps", "–"))))
        rows.append(("trained tokens", str(update.get("trained_tokens", "–"))))
    return rows
